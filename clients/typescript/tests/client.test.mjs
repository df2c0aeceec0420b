// The client against a small server that breaks off, hangs, refuses and ends.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { BalanceCacheClient, MalformedAnswerError, RefusedError, UnreachableError } from "balance-cache-client";

/** Serve with a handler while a body runs. */
async function serving(handler, body) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request);
    handler(request, response, asked.length);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    await body(`http://127.0.0.1:${server.address().port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const json = (response, status, body, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
};

const session = { token: "token", signerAddress: "0x01" };
const event = (type, data, id) => `${id ? `id: ${id}\n` : ""}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;

async function collect(stream) {
  const events = [];
  for await (const one of stream) events.push(one);
  return events;
}

test("a warm-up never rejects, whatever the service does", async () => {
  const hanging = new BalanceCacheClient({ url: "http://127.0.0.1:9", apiKey: "key" });
  assert.equal((await hanging.warmUp({ userId: "u" })).accepted, false);
  await serving(
    () => undefined,
    async (url) => {
      const client = new BalanceCacheClient({ url, apiKey: "key", warmUpTimeoutMs: 50 });
      const outcome = await client.warmUp({ userId: "u", chainId: 0 });
      assert.ok(outcome.error instanceof UnreachableError);
    },
  );
  await serving(
    (_, response) => json(response, 401, { title: "Unauthorized", detail: "no" }),
    async (url) => {
      const outcome = await new BalanceCacheClient({ url }).warmUp({ userId: "u" });
      assert.equal(outcome.error.status, 401);
    },
  );
});

test("an invalidation is sent again until it is accepted", async () => {
  const answer = { data: { invalidatedCount: 2, taskId: null } };
  await serving(
    (request, response, count) => {
      if (count === 1) request.socket.destroy();
      else if (count === 2) json(response, 503, { title: "Unavailable", detail: "later" });
      else json(response, 200, answer);
    },
    async (url, asked) => {
      const client = new BalanceCacheClient({ url, apiKey: "key" });
      const told = await client.invalidate({ addresses: ["0x01"], chainId: 0, blockHeight: 0 });
      assert.deepEqual(told, { invalidatedCount: 2, taskId: null });
      assert.equal(asked.length, 3);
      assert.equal(asked[2].headers["x-api-key"], "key");
    },
  );
});

test("something else that answers has not accepted an invalidation", async () => {
  const odd = [{}, { data: null }, { data: {} }, { data: { invalidatedCount: "2", taskId: null } }, []];
  await serving(
    (_, response, count) => json(response, 200, odd[count - 1]),
    async (url) => {
      const client = new BalanceCacheClient({ url, apiKey: "key" });
      for (const answer of odd) {
        await assert.rejects(client.invalidate({ addresses: ["0x01"] }), MalformedAnswerError, JSON.stringify(answer));
      }
    },
  );
});

test("what is refused for good is not sent again", async () => {
  await serving(
    (_, response) => json(response, 422, { title: "Invalid request", detail: "no such chain" }),
    async (url, asked) => {
      const client = new BalanceCacheClient({ url, apiKey: "key" });
      await assert.rejects(client.transactionConfirmed({ chainId: 5 }), (error) => {
        assert.ok(error instanceof RefusedError);
        assert.equal(error.detail, "no such chain");
        return true;
      });
      assert.equal(asked.length, 1);
    },
  );
});

test("conditions go with a read, and what cannot be met is an answer", async () => {
  await serving(
    (_, response) => json(response, 412, { freshness: { unmet: "refused" } }),
    async (url, asked) => {
      const client = new BalanceCacheClient({ url, session });
      const coins = await client.getReservedCoins("a/b", { minHeight: 0, waitSeconds: 0, chainId: 0 });
      assert.equal(coins.freshness.unmet, "refused");
      assert.equal(asked[0].url, "/predicate/reserved-coins/a%2Fb?chainId=0&min_height=0&wait=0");
      assert.equal(asked[0].headers.signeraddress, "0x01");
    },
  );
});

test("a stream that breaks off is gone on with where it was, until it ends", async () => {
  const parts = [
    [event("balances", { amount: "é" }, "1-0.aa"), ": heartbeat\nid: 2-0.aa\n\n", "event: balances\ndata: {\"cu"],
    [event("end", { reason: "shutdown" })],
    [event("balances", { amount: "0x2" }, "3-0.aa"), event("end", { reason: "session" })],
  ];
  await serving(
    (_, response, count) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      // In pieces, also within a character: chunks say nothing about lines.
      for (const byte of Buffer.from(parts[count - 1].join(""))) response.write(Buffer.from([byte]));
      response.end();
    },
    async (url, asked) => {
      const events = await collect(new BalanceCacheClient({ url, session }).streamBalances());
      assert.deepEqual(
        events.map((one) => [one.type, one.id, one.data.amount ?? one.data.reason]),
        [
          ["balances", "1-0.aa", "é"],
          ["balances", "3-0.aa", "0x2"],
          ["end", "3-0.aa", "session"],
        ],
      );
      assert.deepEqual(
        asked.map((one) => one.headers["last-event-id"]),
        [undefined, "2-0.aa", "2-0.aa"],
      );
    },
  );
});

test("a refused stream rejects, and an aborted one ends", async () => {
  await serving(
    (_, response) => json(response, 401, { title: "Unauthorized", detail: "no" }),
    async (url) => {
      await assert.rejects(collect(new BalanceCacheClient({ url, session }).streamBalances()), RefusedError);
    },
  );
  await serving(
    (_, response) => response.writeHead(200).write(event("balances", {}, "1-0.aa")),
    async (url) => {
      const stop = new AbortController();
      const stream = new BalanceCacheClient({ url, session }).streamBalances({ signal: stop.signal });
      assert.equal((await stream.next()).value.type, "balances");
      stop.abort();
      assert.equal((await stream.next()).done, true);
    },
  );
});
