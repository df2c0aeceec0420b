"""A request's names on its way: API, message, worker, node; and no secret in a log on that way."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from httpx import ASGITransport

from api.app import create_app
from domain.networks import Network
from domain.trace import set_trace, trace_from
from provider.node import NodeProvider
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tasks.publisher import open_publisher
from telemetry.spans import end_exporting, export_spans
from tests.metrics_support import Scrape
from tests.process_support import clean_environment
from tests.span_support import Collector, Seen, collecting
from tests.worker_support import SECONDS, Site, working_site

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
KEY = "internal-key-that-nobody-may-read"
TOKEN = "metrics-token-that-nobody-may-read"
NODE = "node-user:node-password-that-nobody-may-read"
LOGIN = "operator:flower-password-that-nobody-may-read"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Site]:
    broker = EmbeddedServer.start(policy=BROKER_POLICY)
    secrets = {"INTERNAL_API_KEY": KEY, "METRICS_TOKEN": TOKEN, "FLOWER_BASIC_AUTH": LOGIN}
    directory = tmp_path_factory.mktemp("traces")
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with working_site(
        directory, broker.url(), node_login=NODE, LOG_LEVEL="DEBUG", **secrets, **traces
    ) as site:
        yield site
    broker.stop()


async def test_the_worker_logs_whose_request_it_works_for(site: Site) -> None:
    async with open_publisher(site.settings, seconds=5.0) as publisher:
        app = create_app(site.settings, publisher)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=ASGITransport(app, client=("127.0.0.1", 4711)), base_url="http://api"
            ) as client,
        ):
            answer = await client.post(
                "/internal/cache/invalidate",
                json={"predicateAddress": site.user.addresses[0], "chainId": 9889},
                headers={"X-API-Key": KEY, "traceparent": PARENT, "X-Request-ID": "page-view-7"},
            )
            nameless = await client.get("/health")
            measured = Scrape((await client.get("/metrics")).text)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == "page-view-7"
    assert nameless.headers["x-request-id"]

    def lines() -> list[dict[str, object]]:
        refilled = site.logged("invalidation.refilled")
        return [line for line in refilled if line.get("request_id") == "page-view-7"]

    assert wait_until(lambda: bool(lines()), seconds=SECONDS)
    assert lines()[0]["trace_id"] == TRACE_ID
    assert lines()[0]["task_id"] == answer.json()["data"]["taskId"]
    assert lines()[0]["task"] == "balances.refill"
    assert measured.value(
        "api_request_seconds_count", route="/internal/cache/invalidate", status="2xx"
    )


async def test_one_trace_goes_from_the_api_through_the_worker_to_the_node(
    site: Site, collector: Collector
) -> None:
    trace_id = "ab" * 16
    export_spans(site.settings, "balance-cache-api")
    try:
        async with open_publisher(site.settings, seconds=5.0) as publisher:
            app = create_app(site.settings, publisher)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(
                    transport=ASGITransport(app, client=("127.0.0.1", 4711)), base_url="http://api"
                ) as client,
            ):
                answer = await client.post(
                    "/internal/cache/invalidate",
                    json={"predicateAddress": site.user.addresses[1], "chainId": 9889},
                    headers={"X-API-Key": KEY, "traceparent": f"00-{trace_id}-{'cd' * 8}-01"},
                )
    finally:
        end_exporting()
    assert answer.status_code == 200, answer.text

    def chain() -> list[Seen]:
        """From the node request up to the request that all began with."""
        spans = {span.span_id: span for span in list(collector.spans)}
        for span in collector.named("node request", trace_id):
            way = [span]
            while (parent := spans.get(way[-1].parent_id)) is not None:
                way.append(parent)
            if way[-1].service == "balance-cache-api":
                return way
        return []

    assert wait_until(lambda: bool(chain()), seconds=SECONDS), collector.spans
    way = chain()
    assert [span.name for span in way] == [
        "node request",
        "balances.refill",
        "POST /internal/cache/invalidate",
    ]
    assert {span.trace_id for span in way} == {trace_id}
    assert way[0].service == way[1].service == "balance-cache-worker"
    assert way[2].parent_id == "cd" * 8
    assert way[1].attributes["messaging.message.id"] == answer.json()["data"]["taskId"]
    assert not any(span.failed for span in way)
    assert all(span.seconds >= 0 for span in way)


@dataclass
class _Node:
    """Remembers what it was sent, and is down."""

    seen: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers.get("traceparent", ""))
        return httpx.Response(503)


async def test_the_node_is_told_the_trace() -> None:
    node = _Node()
    network = Network(0, "test", ("http://node/graphql",))
    provider = NodeProvider(network, transport=httpx.MockTransport(node.answer))
    set_trace(trace_from(PARENT, None))
    try:
        await provider.fetch_many(["0x" + "ab" * 32], deadline_seconds=1.0)
    finally:
        set_trace(None)
        await provider.close()

    assert node.seen
    assert all(sent.startswith(f"00-{TRACE_ID}-") for sent in node.seen)


def test_no_secret_is_in_the_log_of_a_worker_even_of_debug_lines(site: Site) -> None:
    log = site.log()

    assert '"level": "debug"' in log  # it was a talkative run
    assert site.requests(9889) > 0  # the node with the password was asked
    check_no_secret(log, site)
    assert all(json.loads(line) for line in log.splitlines() if line.startswith("{"))


@pytest.mark.parametrize("program", ["beat", "flower"])
def test_no_secret_is_in_the_log_of_beat_and_flower(
    site: Site, program: str, tmp_path: Path
) -> None:
    port = free_port()
    arguments = {
        "beat": ["beat", "--schedule", str(tmp_path / "schedule"), "--loglevel=DEBUG"],
        "flower": ["flower", "--address=127.0.0.1", f"--port={port}", "--loglevel=DEBUG"],
    }[program]
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        process = spawn(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
            environment=clean_environment(site.environment),
            output=log,
            death_signal=signal.SIGKILL,
        )
    try:
        if program == "flower":
            assert wait_until(lambda: is_listening(port), seconds=60), log_path.read_text()
            for login in (LOGIN, "operator:wrong"):
                user, _, password = login.partition(":")
                httpx.get(f"http://127.0.0.1:{port}/workers", auth=(user, password), timeout=30)
        else:
            assert wait_until(lambda: "balances." in log_path.read_text(), seconds=60)
    finally:
        stop(process)

    said = log_path.read_text()
    assert said
    check_no_secret(said, site)


def check_no_secret(log: str, site: Site) -> None:
    for login in (LOGIN, NODE):
        assert login.partition(":")[2] not in log
    for secret in (KEY, TOKEN, site.user.token):
        assert secret not in log
