// What Bako Safe's API adds, once, and where it calls it.
import { BalanceCacheClient, type ConfirmedTransaction } from "balance-cache-client";

declare const process: { env: Record<string, string | undefined> };

const balances = new BalanceCacheClient({
  url: process.env["BALANCE_CACHE_URL"] ?? "http://balance-cache:8080",
  ...(process.env["BALANCE_CACHE_KEY"] === undefined
    ? {}
    : { apiKey: process.env["BALANCE_CACHE_KEY"] }),
});

/** In `AuthController.signIn`, after `sessionCache.addSession`: not awaited, it never rejects. */
export function afterSignIn(session: { user_id: string; network: { chainId: number } }): void {
  void balances.warmUp({ userId: session.user_id, chainId: session.network.chainId });
}

/** In `notify-result` and `close`, when the transaction's result is known: awaited, it must not be lost. */
export async function afterResult(transaction: ConfirmedTransaction): Promise<void> {
  await balances.transactionConfirmed(transaction);
}
