// Computes what Bako's API shows, with the libraries that it runs: @fuel-ts/math and Intl.
// One JSON list of cases on standard input, one JSON list of results on standard output.
import { bn } from '@fuel-ts/math';
import { readFileSync } from 'node:fs';

const worth = ({ amount, units, price }) =>
  parseFloat(bn(amount).format({ units }).replace(/,/g, '')) * price;

const kinds = {
  format: (c) => bn(c.amount).format({ units: c.units }).replace(/,/g, ''),
  worth,
  hex: (c) => JSON.parse(JSON.stringify(bn(c.amount))),
  // The double travels as its text, which names it exactly.
  text: (c) =>
    Number(c.value).toLocaleString('en-US', {
      minimumFractionDigits: 2,
      maximumFractionDigits: 2,
    }),
  total: (c) => c.balances.reduce((sum, balance) => sum + worth(balance), 0),
  spread: (c) => spread(c.vaults),
  vault: (c) => vault(c),
  signers: (c) => signers(c.configurable),
  network: (c) => comparable(c.url),
};

const comparable = (url) => url.replace(/^https?:\/\/[^@]+@/, 'https://');

// The decimals of the first listed asset that has this id on this chain.
function unitsOf(assets, chainId, assetId) {
  for (const { networks } of assets) {
    const network = networks.find((one) => one && one.chainId === chainId);
    if (network && network.assetId === assetId && network.decimals !== undefined) {
      return network.decimals ?? 8;
    }
  }
  return 8;
}

// One vault: what is there, what drafts reserve, what is left, what an NFT is, and its worth.
function vault({ balances, drafts, quotes, assets, verified, chainId }) {
  const prices = Object.fromEntries(Object.entries(quotes).map(([id, text]) => [id, Number(text)]));
  const usd = (held) =>
    held
      .reduce((sum, { assetId, amount }) => {
        const text = amount.format({ units: unitsOf(assets, chainId, assetId) });
        return sum + parseFloat(text.replace(/,/g, '')) * (prices[assetId] ?? 0);
      }, 0)
      .toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

  const reserved = new Map();
  for (const { assetId, amount, type } of drafts.flatMap((draft) => draft.outputs)) {
    if (type === 0) reserved.set(assetId, (reserved.get(assetId) ?? bn(0)).add(amount));
  }
  const total = balances
    .map(({ assetId, amount }) => ({ assetId, amount: bn(amount) }))
    .filter(({ amount }) => amount.gt(0));
  const left = total
    .map((one) =>
      reserved.has(one.assetId)
        ? { ...one, amount: one.amount.sub(reserved.get(one.assetId)) }
        : one,
    )
    .filter(({ amount }) => amount.gt(0));
  const isNft = ({ assetId, amount }) => !verified[assetId] && amount.eq(1);
  const reservedCoins = [...reserved].map(([assetId, amount]) => ({ assetId, amount }));
  const current = left.filter((one) => !isNft(one));
  return {
    reservedCoinsUSD: usd(reservedCoins),
    totalBalanceUSD: usd(total),
    currentBalanceUSD: usd(current),
    currentBalance: current,
    totalBalance: total,
    reservedCoins,
    nfts: left.filter(isNft),
  };
}

function signers(configurable) {
  try {
    const parsed = JSON.parse(configurable);
    const named = (parsed.SIGNERS || []).filter((one) => one !== `0x${'0'.repeat(64)}`);
    return [named.length, parsed.SIGNATURES_COUNT || 1];
  } catch {
    return [1, 1];
  }
}

// The steps of an allocation in their order; sums show in the last digits.
function spread(vaults) {
  const assets = new Map();
  const byVault = [];
  let total = 0;
  for (const vault of vaults) {
    let own = 0;
    for (const balance of vault) {
      const usd = worth(balance);
      total += usd;
      own += usd;
      const known = assets.get(balance.asset) ?? { usd: 0, amount: bn(0), first: true };
      assets.set(balance.asset, {
        usd: known.first ? usd : known.usd + usd,
        amount: known.amount.add(bn(balance.amount)),
      });
    }
    byVault.push(own);
  }
  const rows = [...assets]
    .filter(([, { usd }]) => usd > 0)
    .map(([asset, { usd, amount }]) => ({ asset, usd, amount, share: (usd / total) * 100 }))
    .sort((a, b) => b.share - a.share);
  const rest = rows.slice(3);
  const shown = rows.slice(0, 3);
  if (rest.length > 0) {
    shown.push({
      asset: null,
      usd: rest.reduce((sum, row) => sum + row.usd, 0),
      amount: rest.reduce((sum, row) => sum.add(row.amount), bn(0)),
      share: rest.reduce((sum, row) => sum + row.share, 0),
    });
  }
  return {
    total,
    byVault,
    rows: shown.map((row) => ({ ...row, amount: row.amount.toHex() })),
  };
}

const cases = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(cases.map((c) => kinds[c.kind](c))));
