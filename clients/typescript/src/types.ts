/** How far balances can be trusted. `stale` ones are the last known; `missing` is not the same as empty. */
export interface Freshness {
  readonly state: "fresh" | "stale" | "missing";
  readonly reason: string | null;
  readonly blockHeight: number | null;
  readonly asOf: string | null;
  readonly source: "cache" | "node" | "database";
  /** Why it is not what `min_height` or `max_age` demanded; null: it is. */
  readonly unmet: "pending" | "refused" | null;
}

/** One asset's amount in base units, as lower-case hex: `BigInt(amount)` reads it. */
export interface AssetAmount {
  readonly assetId: string;
  readonly amount: string;
}

/** Dollars as en-US text; null: nobody knows. */
export interface Worth {
  readonly reserved: string | null;
  readonly total: string | null;
  readonly current: string | null;
}

/** What a vault holds and what pending transactions will spend of it. */
export interface ReservedCoins {
  readonly reservedCoinsUSD: string;
  readonly totalBalanceUSD: string;
  readonly currentBalanceUSD: string;
  readonly currentBalance: readonly AssetAmount[];
  readonly totalBalance: readonly AssetAmount[];
  readonly reservedCoins: readonly AssetAmount[];
  readonly nfts: readonly AssetAmount[];
  readonly worth: Worth;
  readonly freshness: Freshness;
  readonly partial: boolean;
  readonly unpricedAssets: readonly string[];
  readonly quotesAsOf: string | null;
}

/** An asset's part of the money; `assetId` null: all others together. */
export interface AllocationRow {
  readonly assetId: string | null;
  readonly amountInUSD: number;
  readonly amount: string;
  readonly percentage: number;
}

/** A vault's part of the money; null: unknown, never zero. */
export interface AllocationPredicate {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly members: number;
  readonly minSigners: number;
  readonly amountInUSD: number | null;
  readonly worthInUSD: number | null;
  readonly freshness: Freshness;
}

/** How money is spread; totals are over all vaults, the list may be shorter. */
export interface Allocation {
  readonly data: readonly AllocationRow[];
  readonly totalAmountInUSD: number;
  readonly predicates: readonly AllocationPredicate[];
  readonly totalWorthInUSD: number | null;
  readonly partial: boolean;
  readonly missingVaults: number;
  readonly staleVaults: number;
  readonly unpricedAssets: readonly string[];
  readonly quotesAsOf: string | null;
}

/** Whose vaults, on which network. */
export interface WarmUp {
  readonly userId: string;
  readonly chainId?: number;
}

/** What became of a warm-up: accepted, or why not. A login goes on either way. */
export type WarmUpOutcome =
  | { readonly accepted: true; readonly taskId: string | null; readonly total: number }
  | { readonly accepted: false; readonly error: Error };

/** Which balances are wrong. Give the block height whenever it is known. */
export interface Invalidation {
  readonly addresses: readonly string[];
  readonly chainId?: number;
  readonly blockHeight?: number;
  readonly transactionId?: string;
}

/** One side of an operation of a transaction's summary. */
export interface Party {
  readonly address?: string;
}

/**
 * A confirmed transaction: Bako's own transaction object as it is, or these fields.
 * Every vault that it touches is invalidated at its height and fetched again.
 */
export interface ConfirmedTransaction {
  readonly chainId?: number;
  readonly network?: { readonly chainId?: number };
  readonly blockHeight?: number;
  readonly transactionId?: string;
  readonly hash?: string;
  readonly predicateAddress?: string;
  readonly predicate?: { readonly predicateAddress?: string };
  readonly addresses?: readonly string[];
  readonly operations?: readonly { readonly from?: Party; readonly to?: Party }[];
  readonly summary?: { readonly operations?: readonly { readonly from?: Party; readonly to?: Party }[] };
}

/** What an invalidation did. `taskId` null: no broker; the next read fetches. */
export interface Invalidated {
  readonly invalidatedCount: number;
  readonly taskId: string | null;
}

/** All that a home page shows; see `GET /user/dashboard`. */
export interface Dashboard {
  readonly vaults: readonly DashboardVault[];
  readonly allocation: readonly AllocationRow[];
  readonly totals: DashboardTotals;
  readonly networks: readonly {
    readonly chainId: number;
    readonly name: string;
    readonly totals: DashboardTotals;
  }[];
  readonly partial: boolean;
  readonly quotesAsOf: string | null;
}

/** One vault card. What nobody knows is null: a vault of unknown balances is no empty one. */
export interface DashboardVault {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly chainId: number;
  readonly members: number;
  readonly minSigners: number;
  readonly currentBalance: readonly AssetAmount[] | null;
  readonly totalBalance: readonly AssetAmount[] | null;
  readonly reservedCoins: readonly AssetAmount[];
  readonly nfts: readonly AssetAmount[] | null;
  readonly currentBalanceUSD: string | null;
  readonly totalBalanceUSD: string | null;
  readonly reservedCoinsUSD: string;
  readonly worth: Worth;
  readonly allocation: readonly AllocationRow[];
  readonly freshness: Freshness;
  readonly partial: boolean;
  readonly unpricedAssets: readonly string[];
}

/** Sums over vaults. A `partial` one is a lower bound of what they hold. */
export interface DashboardTotals {
  readonly currentBalanceUSD: string;
  readonly totalBalanceUSD: string;
  readonly reservedCoinsUSD: string;
  readonly worth: Worth;
  readonly partial: boolean;
  readonly vaults: number;
  readonly missingVaults: number;
  readonly staleVaults: number;
  readonly unpricedAssets: readonly string[];
}
