// Reads and writes the cache as Bako's TypeScript API does, with the client that it uses.
// A JSON list of steps on standard input; what each step returned on standard output.
import { createClient } from 'redis';
import { readFileSync } from 'node:fs';

const FRESH_SECONDS = 300;
const FLAG_SECONDS = 3600;

const client = createClient({ url: process.env.CHECK_REDIS_URL });
await client.connect();

const valueKey = (address, chainId) => `balance:${address}:${chainId}`;
const flagKey = (address) => `balance:invalidated:${address}`;
const chainFlagKey = (address, chainId) => `balance:invalidated:${address}:${chainId}`;

const steps = {
  // Three reads one after the other; either flag is a miss, an empty list is a hit.
  async get({ address, chainId }) {
    if (await client.get(chainFlagKey(address, chainId))) return null;
    if (await client.get(flagKey(address))) return null;
    const found = await client.get(valueKey(address, chainId));
    if (!found) return null;
    const { balances, timestamp, chainId: chain, networkUrl } = JSON.parse(found);
    return { balances, chain, networkUrl, isRecent: Date.now() - timestamp < 60_000 };
  },

  async set({ address, chainId, balances, networkUrl }) {
    const value = { balances, timestamp: Date.now(), chainId, networkUrl };
    await client.setEx(valueKey(address, chainId), FRESH_SECONDS, JSON.stringify(value));
    await client.del(chainFlagKey(address, chainId));
    await client.del(flagKey(address));
    return true;
  },

  // A chain id of 0 counts as none, as it does there.
  async invalidate({ address, chainId }) {
    const now = Date.now().toString();
    if (chainId) {
      await client.del(valueKey(address, chainId));
      await client.setEx(chainFlagKey(address, chainId), FLAG_SECONDS, now);
      return true;
    }
    for await (const key of client.scanIterator({ MATCH: `balance:${address}:*` })) {
      await client.del(key);
    }
    await client.setEx(flagKey(address), FLAG_SECONDS, now);
    return true;
  },

  // The list of transactions is fetched again when this mark is there.
  async needsTransactions({ address, chainId }) {
    return (await client.exists(`tx:refresh:${address}:${chainId}`)) === 1;
  },
};

const results = [];
for (const step of JSON.parse(readFileSync(0, 'utf8'))) {
  results.push(await steps[step.do](step));
}
await client.quit();
process.stdout.write(JSON.stringify(results));
