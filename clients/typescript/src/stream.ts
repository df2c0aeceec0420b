import { MalformedAnswerError, RefusedError, UnreachableError } from "./errors.js";
import { parseEvents, type ServerSentEvent } from "./sse.js";

/** One event of the stream, as docs/api.md of the service describes each type. */
export interface BalanceEvent {
  readonly type: string;
  /** Where to go on from: `lastEventId` of another call. */
  readonly id: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;
}

type Connect = (lastEventId: string | undefined, signal: AbortSignal) => Promise<Response>;

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** Three heartbeats of the service: a connection that is silent for longer is dead. */
const SILENCE_MS = 45_000;

const END = "end";

/** Why a stream ends although its reader may go on: at this or another process. */
const ENDS_IN_PASSING = new Set<unknown>(["life", "shutdown"]);

/** Yield the events of connection after connection, each beginning where the last one broke off. */
export async function* follow(
  connect: Connect,
  options: { readonly signal?: AbortSignal; readonly lastEventId?: string },
): AsyncGenerator<BalanceEvent, void, undefined> {
  const { signal } = options;
  let lastEventId = options.lastEventId;
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal?.aborted) {
    try {
      for await (const event of connection(connect, lastEventId, signal)) {
        pauseMs = FIRST_PAUSE_MS;
        lastEventId = event.id ?? lastEventId;
        if (event.data === undefined) continue;
        const told = decoded(event, event.data);
        if (told.type === END && ENDS_IN_PASSING.has(told.data["reason"])) break;
        yield told;
        if (told.type === END) return;
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!isTransient(error)) throw error;
    }
    // A random part: streams that broke together must not come back together.
    await pause(pauseMs * (0.5 + Math.random() / 2), signal);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

async function* connection(
  connect: Connect,
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const signals = signal === undefined ? [silence.signal] : [silence.signal, signal];
    const response = await connect(lastEventId, AbortSignal.any(signals));
    if (response.body === null) throw new MalformedAnswerError("a stream without a body");
    for await (const event of received(parseEvents(response.body))) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      yield event;
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Everything that breaks while a body is read is a lost connection. */
async function* received<Event>(events: AsyncGenerator<Event>): AsyncGenerator<Event, void, undefined> {
  try {
    yield* events;
  } catch (error) {
    throw new UnreachableError("the stream broke off", { cause: error });
  }
}

function decoded(event: ServerSentEvent, data: string): BalanceEvent {
  try {
    return { type: event.type, id: event.id, data: JSON.parse(data) };
  } catch (error) {
    throw new MalformedAnswerError(`an event of type ${event.type} without JSON`, { cause: error });
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof UnreachableError || (error instanceof RefusedError && error.isTransient);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resume) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resume();
    }
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
