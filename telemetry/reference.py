"""docs/metrics.md, made from the list of metrics: ``python -m telemetry.reference`` prints it."""

from __future__ import annotations

from telemetry.names import ALL, Described

_INTRODUCTION = """\
# Metrics

<!-- Made by `make docs` from telemetry/names.py; change it there. -->

<!-- not run: fixed ports; the tests of the metrics read both -->

    curl http://127.0.0.1:8080/metrics    # the API, on its own port
    METRICS_PORT=9400 celery -A tasks worker
    curl http://127.0.0.1:9400/metrics    # a worker, with all its pool processes

The API serves `/metrics` on its own port. A worker does so on `METRICS_PORT` (unset: not at all;
0: a free port, named by the log line `metrics.served`); its first process answers, its pool
processes listen nowhere. Beat has nothing to tell that the others do not see
(`balance_cache_beat_silent_seconds`).

## Who may read them

Callers from `METRICS_ALLOWED_CIDRS`, by default this machine alone, and whoever sends
`Authorization: Bearer` with `METRICS_TOKEN`. Everybody else gets 403. A request that came through
a proxy that is not among `TRUSTED_PROXIES` counts as from nowhere, so that a proxy on this
machine does not open the door to the world. A worker trusts no proxy.

## How to add them up

*Counters and histograms* are what the processes of one target did: add all targets up,
`sum(rate(balance_cache_reads_total[5m]))`. A worker adds up its pool processes itself, and what a
process counted stays when it dies. After a restart they begin at 0, which `rate` knows.

*Shared* gauges are of something that all share (Redis, the broker, beat), looked up at the
scrape. Every target tells the same: take `max(...)`. What does not answer is left out, and
`balance_cache_cache_up` or `balance_cache_broker_up` is 0.

*Other gauges* are what a target sees (a node's height, its breaker, a Redis that rests); of several
pool processes the greatest.

Labels take few values: no address, no user and no URL is one. `node` is a node's place in
`FUEL_NETWORKS` and its host. The same counts for people, over all processes since the last reset,
are in JSON at `/internal/cache/stats`.

## All of them

"""


def metrics_page() -> str:
    """Return the page, in Markdown."""
    return f"{_INTRODUCTION}{_table()}\n"


def _table() -> str:
    head = "| metric | kind | labels | meaning |\n|---|---|---|---|"
    return "\n".join([head, *map(_row, ALL)])


def _row(metric: Described) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    kind = f"{metric.kind.value}, shared" if metric.shared else metric.kind.value
    return f"| `{metric.full_name}` | {kind} | {labels} | {metric.meaning} |"


if __name__ == "__main__":
    print(metrics_page(), end="")  # noqa: T201 - the result
