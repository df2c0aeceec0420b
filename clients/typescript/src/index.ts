export { BalanceCacheClient, type ClientOptions, type ReadOptions, type Session } from "./client.js";
export { BalanceCacheError, MalformedAnswerError, RefusedError, UnreachableError } from "./errors.js";
export type { BalanceEvent } from "./stream.js";
export type * from "./types.js";
