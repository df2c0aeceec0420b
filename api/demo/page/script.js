// Cards that fill by the stream of balances. Nothing here asks twice: the stream tells.
"use strict";

const SILENT_MS = 45_000; // three heartbeats
const ETH = "0xf8f8b6283d7fa5b672b530cbb84fcccb4ff8dc40f8176ef4544ddb1f1952ad07";
const UNITS = { [ETH]: ["ETH", 9] };
const DEFAULT_UNITS = 8;
const MOST_NEWS = 8;
const WHY = {
  invalidated: "outdated",
  expired: "expired",
  restored: "from the database",
  node_behind: "the node is behind",
  node_down: "the node does not answer",
};

const $ = (id) => document.getElementById(id);
const vaults = new Map(); // predicateId -> {name, card, told}
let lastId = null;
let retryMs = 2_000;
let payment = null; // the last one: who is not right yet, and since when

// ---- signing in: the credentials come after the #, which no server ever sees

function credentials() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.get("token") && given.get("user")) {
    sessionStorage.setItem("token", given.get("token"));
    sessionStorage.setItem("user", given.get("user"));
    history.replaceState(null, "", location.pathname);
  }
  const token = sessionStorage.getItem("token");
  return token && { Authorization: token, signeraddress: sessionStorage.getItem("user") };
}

// ---- the stream: fetch, because an EventSource cannot send headers

async function follow(headers) {
  for (;;) {
    const comeAgain = await readOnce(headers).catch(() => true);
    if (!comeAgain) return;
    link("connecting", "connecting …");
    await new Promise((done) => setTimeout(done, retryMs));
  }
}

async function readOnce(headers) {
  const given = lastId ? { ...headers, "Last-Event-ID": lastId } : headers;
  const stop = new AbortController();
  let watch = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const response = await fetch("/user/balances/stream", { headers: given, signal: stop.signal });
    if (response.status === 401) return signOut();
    if (!response.ok) throw new Error(response.status);
    link("live", "live");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      clearTimeout(watch);
      watch = setTimeout(() => stop.abort(), SILENT_MS);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) if (take(block) === "session") return signOut();
    }
  } finally {
    clearTimeout(watch);
  }
}

function take(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
  }
  let ended;
  if (fields.retry) retryMs = Number(fields.retry);
  if (fields.data && on[fields.event]) ended = on[fields.event](JSON.parse(fields.data));
  if (fields.id) lastId = fields.id;
  return ended;
}

const on = {
  vaults: (data) => arrange(data.vaults),
  balances: (data) => show(data),
  snapshot: () => $("cards").setAttribute("aria-busy", "false"),
  "warm-up": (data) => warmUp(data),
  live: (data) => (data.live ? link("live", "live") : link("interrupted", "no news: the cache is away")),
  end: (data) => data.reason,
  "[BALANCE_OUTDATED_USER]": (data) =>
    say(`outdated: ${data.outdatedPredicateIds.map((id) => vaults.get(id)?.name ?? id).join(", ")}`),
};

function link(state, text) {
  $("link").dataset.state = state;
  $("link-text").textContent = text;
}

function signOut() {
  sessionStorage.clear();
  link("ended", "signed out");
  $("pay").disabled = true;
  $("sign-in").hidden = false;
  return false;
}

// ---- cards

function arrange(listed) {
  const ids = new Set(listed.map((vault) => vault.predicateId));
  for (const [id, vault] of vaults) if (!ids.has(id)) (vault.card.remove(), vaults.delete(id));
  listed.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  for (const { predicateId, name, address } of listed) {
    const vault = vaults.get(predicateId) ?? { card: skeleton(predicateId), told: null };
    vault.name = name;
    vault.card.querySelector("h3").textContent = name;
    vault.card.querySelector(".address").textContent = address ? `${address.slice(0, 8)}…${address.slice(-6)}` : "";
    vaults.set(predicateId, vault);
    $("cards").append(vault.card);
    if (!address) show({ predicateId, totalBalance: null, freshness: { state: "missing" } });
  }
  sum();
}

function skeleton(predicateId) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  card.id = `vault-${predicateId}`;
  card.dataset.predicate = predicateId;
  card.querySelector(".badge").textContent = "loading";
  const bones = ["bone", "bone short"].map((kind) => Object.assign(document.createElement("li"), { className: kind }));
  card.querySelector(".assets").replaceChildren(...bones);
  return card;
}

function show(data) {
  const vault = vaults.get(data.predicateId);
  if (!vault) return;
  const { state, reason, blockHeight } = data.freshness;
  const known = data.totalBalance !== null; // what nobody knows is not zero
  const isChanged = known && vault.told?.totalBalance && amounts(data) !== amounts(vault.told);
  vault.card.dataset.state = state;
  vault.card.querySelector(".badge").textContent = { fresh: "fresh", stale: "stale", missing: "unknown" }[state];
  vault.card.querySelector(".assets").replaceChildren(...(known ? rows(data) : [row("—", "not known yet")]));
  const asOf = known ? `as of ${clock(new Date(data.asOf))}` : "waiting for the node";
  const block = blockHeight === null || blockHeight === undefined ? "" : ` · block ${blockHeight}`;
  vault.card.querySelector(".freshness").textContent = state === "stale" ? `${asOf} · ${WHY[reason] ?? reason}` : known ? asOf + block : asOf;
  vault.told = data;
  if (isChanged) flash(vault.card);
  settle(data);
  sum();
}

const amounts = (data) => JSON.stringify(data.totalBalance);

function rows(data) {
  if (data.totalBalance.length === 0) return [row("0", "empty vault")];
  const order = (asset) => (UNITS[asset.assetId] ? 0 : 1);
  return [...data.totalBalance]
    .sort((a, b) => order(a) - order(b))
    .slice(0, 3)
    .map(({ assetId, amount }) => {
      const [symbol, units] = UNITS[assetId] ?? [`${assetId.slice(0, 8)}…`, DEFAULT_UNITS];
      return row(formatted(BigInt(amount), units), symbol);
    });
}

function row(amount, what) {
  const item = document.createElement("li");
  item.append(
    Object.assign(document.createElement("b"), { textContent: amount }),
    Object.assign(document.createElement("span"), { textContent: what }),
  );
  return item;
}

function formatted(amount, units) {
  const digits = amount.toString().padStart(units + 1, "0");
  const fraction = digits.slice(-units).replace(/0+$/, "").padEnd(3, "0");
  return `${BigInt(digits.slice(0, -units)).toLocaleString("en-US")}.${fraction}`;
}

function flash(card) {
  card.classList.remove("changed");
  void card.offsetWidth; // begin the animation anew
  card.classList.add("changed");
}

function sum() {
  const told = [...vaults.values()].map((vault) => vault.told).filter((data) => data && data.totalBalance !== null);
  const eth = told.flatMap((data) => data.totalBalance).filter((asset) => UNITS[asset.assetId]);
  const stale = told.filter((data) => data.freshness.state === "stale").length;
  const total = eth.reduce((sum, asset) => sum + BigInt(asset.amount), 0n);
  const partial = told.length < vaults.size;
  $("total").textContent = told.length ? `${partial ? "at least " : ""}${formatted(total, 9)} ETH` : "—";
  $("known").textContent =
    `${told.length} of ${vaults.size} vaults known` + (stale ? `, ${stale} of them not fresh` : "");
  $("pay").disabled = told.length < 2 || payment?.isSending;
}

function warmUp(data) {
  $("warm").hidden = data.state !== "running";
  $("warm-bar").max = Math.max(1, data.total);
  $("warm-bar").value = data.done + data.failed;
  $("warm-text").textContent = `warm-up: ${data.done} of ${data.total}`;
}

// ---- a transaction on the simulated node

async function pay(headers) {
  const known = [...vaults].filter(([, vault]) => vault.told && vault.told.totalBalance !== null);
  const [from, to] = known.sort(() => Math.random() - 0.5).map(([id]) => id);
  payment = { isSending: true };
  sum();
  try {
    const response = await fetch("/demo/transaction", {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ from, to }),
    });
    const answer = await response.json();
    if (!response.ok) return say(`no transaction: ${answer.detail ?? answer.title}`);
    const what = `${formatted(BigInt(answer.amount), 9)} ETH`;
    say(`block ${answer.blockHeight}: ${vaults.get(from)?.name} paid ${vaults.get(to)?.name} ${what}`);
    payment = { block: answer.blockHeight, waiting: new Set([from, to]), since: performance.now() };
    for (const id of [from, to]) if (vaults.get(id)?.told) settle(vaults.get(id).told);
  } catch {
    say("no transaction: the API does not answer");
  } finally {
    if (payment?.isSending) payment = null;
    sum();
  }
}

function settle(data) {
  if (!payment?.waiting?.has(data.predicateId)) return;
  if (data.freshness.state !== "fresh" || data.freshness.blockHeight < payment.block) return;
  payment.waiting.delete(data.predicateId);
  if (payment.waiting.size === 0) say(`both vaults right, ${Math.round(performance.now() - payment.since)} ms after the confirmation`);
}

function say(text) {
  const item = document.createElement("li");
  const time = Object.assign(document.createElement("time"), { textContent: clock(new Date()) });
  item.append(time, Object.assign(document.createElement("span"), { textContent: text }));
  $("news").prepend(item);
  while ($("news").children.length > MOST_NEWS) $("news").lastChild.remove();
}

const clock = (moment) => moment.toLocaleTimeString("en-GB");

// ---- beginning

function begin() {
  const headers = credentials();
  $("sign-in").hidden = Boolean(headers);
  if (!headers) return link("ended", "signed out");
  $("pay").onclick = () => pay(headers);
  follow(headers);
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  for (const [name, value] of new FormData(event.target)) sessionStorage.setItem(name, value.trim());
  begin();
});
begin();
