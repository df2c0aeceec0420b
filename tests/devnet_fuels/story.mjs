// What the Fuel TypeScript SDK sees of a devnet. Prints one line of JSON.
import { Address, Provider, ScriptTransactionRequest, Wallet } from "fuels";

const url = process.argv[2];
const owner = "0x" + "aa".repeat(32);
const token = "0x" + "01".repeat(32);

async function admin(path, body) {
  const address = url.replace("/v1/graphql", "/devnet/") + path;
  const response = await fetch(address, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

const amounts = (balances) => balances.map((one) => [one.assetId, one.amount.toString()]);

const provider = new Provider(url);
const base = await provider.getBaseAssetId();
const told = { chainId: await provider.getChainId(), base };
told.balances = amounts((await provider.getBalances(owner)).balances);
told.balance = (await provider.getBalance(owner, token)).toString();

const wallet = Wallet.generate({ provider });
const walletAddress = wallet.address.toB256();
await admin("accounts", { balances: [{ owner: walletAddress, assetId: base, amount: 1000 }] });

// A transaction that the SDK makes, signs and submits.
const { coins } = await provider.getCoins(wallet.address, base);
const request = new ScriptTransactionRequest({ gasLimit: 0, maxFee: 0 });
request.addCoinInput(coins[0]);
request.addCoinOutput(new Address(owner), 300, base);
request.addChangeOutput(wallet.address, base);
request.updateWitnessByOwner(wallet.address, await wallet.signTransaction(request));
const encodedTransaction = "0x" + Buffer.from(request.toTransactionBytes()).toString("hex");
told.submitted = [];
const submission = await provider.operations.submitAndAwaitStatus({ encodedTransaction });
for await (const { submitAndAwaitStatus: status } of submission) {
  told.submitted.push(status.type);
  if (status.type === "SubmittedStatus") await admin("blocks", { count: 1 });
}
told.walletBalance = (await wallet.getBalance()).toString();
told.baseBalance = (await provider.getBalance(owner, base)).toString();

// The id that the SDK computes is the one that the devnet knows.
const transactionId = request.getTransactionId(told.chainId);
told.watched = [];
for await (const { statusChange: status } of await provider.operations.statusChange({ transactionId })) {
  told.watched.push(status.type);
}

// A transaction of the devnet, watched while it is confirmed.
const pending = await admin("transfer", { to: owner, assetId: token, amount: 2, pending: true });
told.followed = [];
const following = await provider.operations.statusChange({ transactionId: pending.transactionId });
for await (const { statusChange: status } of following) {
  told.followed.push(status.type);
  if (status.type === "SubmittedStatus") await admin("blocks", { count: 1 });
}
told.balanceAfter = (await provider.getBalance(owner, token)).toString();

const { blocks } = await provider.getBlocks({ first: 3 });
told.blocks = blocks.map((block) => [block.height.toNumber(), block.transactionIds.length]);
told.blockHasTransaction = blocks[1].transactionIds.includes(transactionId);
told.blockNumber = (await provider.getBlockNumber()).toNumber();
told.version = await provider.getVersion();
console.log(JSON.stringify(told));
