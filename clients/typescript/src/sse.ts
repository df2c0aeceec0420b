/** One event of a `text/event-stream`; without data it is a heartbeat, which may move the id on. */
export interface ServerSentEvent {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string | undefined;
}

/** Parse a `text/event-stream` (WHATWG HTML, "Server-sent events"). */
export async function* parseEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let type = "message";
  let id: string | undefined;
  let data: string[] = [];
  for await (const line of lines(body)) {
    if (line === "") {
      yield { type, id, data: data.length > 0 ? data.join("\n") : undefined };
      type = "message";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pending = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      // A line that the end cut is no line: its event never came to its end.
      if (done) return;
      pending += decoder.decode(value, { stream: true });
      const found = pending.split(/\r\n|\n|\r(?!$)/);
      pending = found.pop() ?? "";
      yield* found;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
