import { MalformedAnswerError, RefusedError, UnreachableError } from "./errors.js";

/** Where the service is and who calls. */
export interface Connection {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
}

/** One request: what is asked, and when it is given up. */
export interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The node has not what was demanded; the body is what there is, and says so vault by vault. */
const CONDITION_NOT_MET = 412;

/** Ask once. Rejects with one of the errors of this package, within `timeoutMs`. */
export async function ask<Answer>(connection: Connection, call: Call): Promise<Answer> {
  const response = await send(connection, call);
  const text = await guarded(() => response.text());
  if (!response.ok && response.status !== CONDITION_NOT_MET) throw refusal(response, text);
  const answer = parse(text);
  if (typeof answer !== "object" || answer === null) {
    throw new MalformedAnswerError(`${call.path} answered ${response.status} without a JSON object`);
  }
  return answer as Answer;
}

/** Ask again while the answer is transient and time is left. For what must not be lost. */
export async function insist<Answer>(
  connection: Connection,
  call: Call,
  pauseMs = 100,
): Promise<Answer> {
  const deadline = Date.now() + call.timeoutMs;
  for (let pause = pauseMs; ; pause *= 2) {
    const left = deadline - Date.now();
    try {
      // One hanging attempt leaves time for another.
      return await ask<Answer>(connection, { ...call, timeoutMs: Math.max(left / 2, 50) });
    } catch (error) {
      const wait = pauseAfter(error, pause);
      if (wait === undefined || Date.now() + wait + 50 >= deadline) throw error;
      await new Promise((resume) => setTimeout(resume, wait));
    }
  }
}

/** Open a response whose body goes on: `timeoutMs` is for its beginning alone. */
export async function open(connection: Connection, call: Call): Promise<Response> {
  const response = await send(connection, call, { bodyIsTimed: false });
  if (!response.ok) throw refusal(response, await guarded(() => response.text()));
  return response;
}

async function send(
  { url, headers, fetch }: Connection,
  call: Call,
  { bodyIsTimed } = { bodyIsTimed: true },
): Promise<Response> {
  const target = new URL(url + call.path);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) target.searchParams.set(name, String(value));
  }
  const impatience = new AbortController();
  const timer = setTimeout(() => impatience.abort(), call.timeoutMs);
  // A pending request must not keep a program alive that wants to end.
  if (typeof timer === "object") (timer as { unref?: () => void }).unref?.();
  const signals = call.signal === undefined ? [impatience.signal] : [impatience.signal, call.signal];
  try {
    return await guarded(() =>
      fetch(target, {
        method: call.method,
        headers: call.body === undefined ? headers : { ...headers, "content-type": "application/json" },
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        signal: AbortSignal.any(signals),
        // A redirect would carry credentials to wherever it points.
        redirect: "error",
      }),
    );
  } finally {
    if (!bodyIsTimed) clearTimeout(timer);
  }
}

async function guarded<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw new UnreachableError("no answer from balance-cache", { cause: error });
  }
}

function refusal(response: Response, text: string): RefusedError {
  const problem = parse(text) as { title?: unknown; detail?: unknown } | undefined;
  const said = (word: unknown, otherwise: string) => (typeof word === "string" ? word : otherwise);
  const wait = Number(response.headers.get("retry-after") ?? NaN);
  return new RefusedError(
    response.status,
    said(problem?.title, response.statusText),
    said(problem?.detail, "no details"),
    Number.isFinite(wait) ? wait : undefined,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pauseAfter(error: unknown, pauseMs: number): number | undefined {
  if (error instanceof UnreachableError) return pauseMs;
  if (!(error instanceof RefusedError) || !error.isTransient) return undefined;
  return Math.max(pauseMs, (error.retryAfterSeconds ?? 0) * 1000);
}
