/** What can go wrong between a caller and the service. One tree: `catch (e) { if (e instanceof BalanceCacheError) … }`. */
export class BalanceCacheError extends Error {
  override readonly name: string = "BalanceCacheError";
}

/** No answer in time, or no connection. The service may have done what was asked. */
export class UnreachableError extends BalanceCacheError {
  override readonly name = "UnreachableError";
}

/**
 * The service said no, as `application/problem+json`.
 *
 * `status` is the HTTP status, `title` and `detail` are its words, `retryAfterSeconds` is how long to
 * wait, where it said so.
 */
export class RefusedError extends BalanceCacheError {
  override readonly name = "RefusedError";

  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly retryAfterSeconds: number | undefined,
  ) {
    super(`${status} ${title}: ${detail}`);
  }

  /** Whether the same call may succeed a moment later. */
  get isTransient(): boolean {
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** An answer that is not what the service documents: something else listens there. */
export class MalformedAnswerError extends BalanceCacheError {
  override readonly name = "MalformedAnswerError";
}
