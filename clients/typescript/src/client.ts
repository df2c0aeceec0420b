import { MalformedAnswerError } from "./errors.js";
import { ask, insist, open, type Call, type Connection } from "./http.js";
import { follow, type BalanceEvent } from "./stream.js";
import type {
  Allocation,
  ConfirmedTransaction,
  Dashboard,
  Invalidated,
  Invalidation,
  ReservedCoins,
  WarmUp,
  WarmUpOutcome,
} from "./types.js";

/** A user of Bako: the token of his login and the address that signed it. */
export interface Session {
  readonly token: string;
  readonly signerAddress: string;
}

/** Who calls: a service by its key, or a user by his session. */
export interface ClientOptions {
  /** Where the service listens, e.g. `http://balance-cache:8080`. */
  readonly url: string;
  /** One of the service's INTERNAL_API_KEY. Never in a browser. */
  readonly apiKey?: string;
  readonly session?: Session;
  /** How long a read may take, retries excluded (there are none). Default 6,000 ms. */
  readonly readTimeoutMs?: number;
  /** How long an invalidation is tried, again and again, until it is accepted. Default 10,000 ms. */
  readonly invalidateTimeoutMs?: number;
  /** How long a warm-up may take; a login never waits longer. Default 250 ms. */
  readonly warmUpTimeoutMs?: number;
  /** Another implementation of fetch. */
  readonly fetch?: typeof fetch;
}

/** What a service must add to a read: it has no session to say it. */
export interface ReadOptions {
  readonly chainId?: number;
  readonly userId?: string;
  /**
   * Balances that are true at this block or later, e.g. that of a transaction of one's own. Where they
   * cannot be had, the answer is what there is, and `freshness.unmet` says so.
   */
  readonly minHeight?: number;
  /** Balances that were published at most so many seconds ago. */
  readonly maxAgeSeconds?: number;
  /** How long the service waits for what is not there yet; 0: what there is, now. */
  readonly waitSeconds?: number;
  readonly signal?: AbortSignal;
}

interface Done<Data> {
  readonly data: Data;
}

/** The service, as a service or a user sees it. Holds no connection: nothing to close. */
export class BalanceCacheClient {
  readonly #connection: Connection;
  readonly #readTimeoutMs: number;
  readonly #invalidateTimeoutMs: number;
  readonly #warmUpTimeoutMs: number;

  constructor(options: ClientOptions) {
    this.#connection = {
      url: options.url.replace(/\/+$/, ""),
      headers: credentials(options),
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
    };
    this.#readTimeoutMs = options.readTimeoutMs ?? 6_000;
    this.#invalidateTimeoutMs = options.invalidateTimeoutMs ?? 10_000;
    this.#warmUpTimeoutMs = options.warmUpTimeoutMs ?? 250;
  }

  /**
   * Have a user's vaults warmed; without a chain id, on every network. Needs the API key.
   *
   * Never rejects and never takes longer than `warmUpTimeoutMs`: a login must not depend on it. It need
   * not even be awaited.
   */
  async warmUp(wanted: WarmUp): Promise<WarmUpOutcome> {
    try {
      const call = post("/internal/cache/warmup", wanted, this.#warmUpTimeoutMs);
      const { data } = await ask<Done<{ taskId: string | null; total: number }>>(this.#connection, call);
      return { accepted: true, taskId: data.taskId, total: data.total };
    } catch (error) {
      return { accepted: false, error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  /**
   * Declare balances wrong. Needs the API key. When this resolves, no read calls the old ones fresh.
   * Tried again until `invalidateTimeoutMs`; then it rejects, and must be sent again.
   */
  async invalidate(wanted: Invalidation): Promise<Invalidated> {
    return this.#accepted(post("/internal/cache/invalidate", wanted, this.#invalidateTimeoutMs));
  }

  /** Tell of a confirmed transaction; see `invalidate` for what is promised. Needs the API key. */
  async transactionConfirmed(transaction: ConfirmedTransaction): Promise<Invalidated> {
    return this.#accepted(post("/internal/events/transaction", transaction, this.#invalidateTimeoutMs));
  }

  /** Return all that a home page shows, in one call. */
  async getDashboard(options: ReadOptions & { readonly network?: number | "all" } = {}): Promise<Dashboard> {
    return this.#read("/user/dashboard", options, { network: options.network });
  }

  /** Return what one vault holds and what is reserved of it. */
  async getReservedCoins(predicateId: string, options: ReadOptions = {}): Promise<ReservedCoins> {
    return this.#read(`/predicate/reserved-coins/${encodeURIComponent(predicateId)}`, options);
  }

  /** Return how the money of a user, or of one vault (`predicateId`), is spread. */
  async getAllocation(
    options: ReadOptions & { readonly predicateId?: string; readonly limit?: number } = {},
  ): Promise<Allocation> {
    const { predicateId, limit } = options;
    const path =
      predicateId === undefined
        ? "/user/allocation"
        : `/predicate/${encodeURIComponent(predicateId)}/allocation`;
    return this.#read(path, options, { limit });
  }

  /**
   * Follow a user's balances: first what is known, then each change. Needs a session.
   *
   * Connects again by itself after a lost connection and goes on where it was. Ends when the session
   * ends or `signal` aborts; rejects when the service refuses.
   */
  streamBalances(
    options: { readonly signal?: AbortSignal; readonly lastEventId?: string } = {},
  ): AsyncGenerator<BalanceEvent, void, undefined> {
    return follow(
      (lastEventId, signal) =>
        open(
          {
            ...this.#connection,
            headers: {
              ...this.#connection.headers,
              accept: "text/event-stream",
              ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
            },
          },
          { method: "GET", path: "/user/balances/stream", timeoutMs: this.#readTimeoutMs, signal },
        ),
      options,
    );
  }

  async #accepted(call: Call): Promise<Invalidated> {
    const { data } = await insist<Partial<Done<Partial<Invalidated> | null>>>(this.#connection, call);
    if (typeof data?.invalidatedCount !== "number") {
      throw new MalformedAnswerError(`${call.path} was answered without a count`);
    }
    return { invalidatedCount: data.invalidatedCount, taskId: data.taskId ?? null };
  }

  #read<Answer>(path: string, options: ReadOptions, more: Record<string, number | string | undefined> = {}): Promise<Answer> {
    const { chainId, userId, minHeight, maxAgeSeconds, waitSeconds, signal } = options;
    return ask<Answer>(this.#connection, {
      method: "GET",
      path,
      query: {
        chainId,
        userId,
        min_height: minHeight,
        max_age: maxAgeSeconds,
        wait: waitSeconds,
        ...more,
      },
      timeoutMs: this.#readTimeoutMs,
      signal,
    });
  }
}

function post(path: string, body: unknown, timeoutMs: number): Call {
  return { method: "POST", path, body, timeoutMs };
}

function credentials({ apiKey, session }: ClientOptions): Record<string, string> {
  return {
    ...(apiKey === undefined ? {} : { "x-api-key": apiKey }),
    ...(session === undefined
      ? {}
      : { authorization: session.token, signeraddress: session.signerAddress }),
  };
}
