"use strict";

// Everything that is shown goes through textContent: nothing that is told becomes markup.
const at = (id) => document.getElementById(id);

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function tile(id, value, below, mood = "") {
  const [strong, p] = [at(id).querySelector("strong"), at(id).querySelector("p")];
  strong.textContent = value;
  strong.className = mood;
  p.textContent = below;
}

function fill(id, rows, none) {
  const columns = at(id).querySelectorAll("th").length;
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const [text, mood] = Array.isArray(cell) ? cell : [cell, ""];
      const td = document.createElement("td");
      td.textContent = text;
      td.className = mood;
      row.append(td);
    }
    return row;
  });
  if (!made.length) {
    const row = document.createElement("tr");
    const td = document.createElement("td");
    td.colSpan = columns;
    td.className = "none";
    td.textContent = none;
    row.append(td);
    made.push(row);
  }
  at(id).querySelector("tbody").replaceChildren(...made);
}

const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);
const number = (value) => (value === null || value === undefined ? "–" : String(value));
const brief = (address) => `${address.slice(0, 12)}…${address.slice(-6)}`;

function tiles(news) {
  const { reads, freshness, lanes, cache } = news;
  if (reads) {
    const share = reads.hit_rate_lately ?? reads.hit_rate;
    const mood = share === null ? "" : share < 0.7 ? "warn" : "good";
    tile("hits", percent(share), `${reads.lately} reads in the last minutes, ${percent(reads.hit_rate)} in all`, mood);
  } else tile("hits", "?", "Redis does not answer", "bad");
  if (freshness) {
    const mood = freshness.fresh === freshness.looked_at ? "good" : "warn";
    tile("freshness", `${freshness.fresh} of ${freshness.looked_at}`,
      `${freshness.stale} stale, ${freshness.missing} missing, oldest ${span(freshness.oldest_seconds)}`, mood);
  } else tile("freshness", "?", "Redis does not answer", "bad");
  if (lanes) {
    const oldest = Math.max(...lanes.map((lane) => lane.oldest_seconds ?? 0));
    const waiting = lanes.reduce((sum, lane) => sum + lane.ready, 0);
    tile("waiting", String(waiting), `the oldest for ${span(oldest)}`, oldest > 60 ? "warn" : "good");
  } else tile("waiting", "?", "the broker does not answer", "bad");
  if (cache) {
    const silent = cache.beat_silent_seconds;
    const late = news.beat_expected && (silent === null || silent > news.beat_silent_after);
    tile("beat", silent === null ? "silent" : span(silent), late ? "nobody enqueues refreshes" : "since its last sign", late ? "bad" : "good");
    const megabytes = (bytes) => `${(bytes / 1048576).toFixed(1)} MB`;
    const full = cache.memory_most && cache.memory_used > 0.9 * cache.memory_most;
    tile("memory", cache.memory_used === null ? "–" : megabytes(cache.memory_used),
      cache.memory_most ? `of ${megabytes(cache.memory_most)}` : "no limit", full ? "bad" : "good");
    tile("letters", String(cache.dead_letters), "messages nobody could work on", cache.dead_letters ? "warn" : "good");
  } else for (const id of ["beat", "memory", "letters"]) tile(id, "?", "Redis does not answer", "bad");
}

function show(news) {
  tiles(news);
  const ago = (one) => span(Math.max(0, news.at_ms - one.at_ms) / 1000);
  fill("lanes", (news.lanes ?? []).map((lane) => [
    lane.lane, [lane.ready, lane.ready ? "warn" : "good"], number(lane.unacked), lane.ready ? span(lane.oldest_seconds) : "–",
  ]), "the broker does not answer");
  fill("nodes", news.nodes.map((node) => {
    const follower = news.cache?.followers?.[node.chain_id];
    const behind = follower?.lag ?? null;
    const followed = behind === null ? "–" : `${behind} behind`;
    if (node.error) return [node.network, ["down", "bad"], "", [node.error.split(":")[0], "bad"], followed];
    return [node.network, number(node.height), [`${span(node.block_age_seconds)} old`, node.block_age_seconds > 60 ? "warn" : "good"],
      span(node.answer_seconds), followed];
  }), "no node is configured");
  fill("invalidated", news.invalidated.map((one) => [ago(one), number(one.chain_id), one.count, one.detail]), "none today");
  fill("warmed", news.warmed.map((one) => [ago(one), number(one.chain_id), one.count, span(one.seconds), one.detail]), "none today");
  fill("slow", news.slow.map((one) => [ago(one), number(one.chain_id), [span(one.seconds), "warn"], one.count,
    [one.addresses.length ? brief(one.addresses[0]) : "", "address"]]), "no fetch took longer than a second");
  fill("failed", news.failed.map((one) => [ago(one), number(one.chain_id), one.count, [one.detail, "bad"]]), "none today");
  fill("stale", news.stale.map((one) => [[one.address, "address"], number(one.chain_id), one.reads, [one.state, "warn"], span(one.age_seconds)]),
    "all that is looked at is fresh");
}

let heard = 0;
let source;

function listen() {
  source = new EventSource("/ops/stream");
  source.onmessage = (event) => {
    heard = Date.now();
    show(JSON.parse(event.data));
    document.body.dataset.live = "yes";
    at("live").textContent = `live, ${new Date().toISOString().slice(11, 19)} UTC`;
  };
}

listen();
setInterval(() => {
  // After a refusal (the API starts, too many calls) a browser gives up; an operator does not.
  if (source.readyState === EventSource.CLOSED) listen();
  if (Date.now() - heard < 8000) return;
  document.body.dataset.live = "no";
  at("live").textContent = "the API does not answer: what is shown is old";
}, 3000);
