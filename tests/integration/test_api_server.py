"""`balance-cache api` as a program: its address, its refusals, its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from supervisor.waiting import wait_until
from tests.api_support import CHAIN_ID
from tests.process_support import clean_environment


def environment_of(
    cache_server: EmbeddedServer, node_url: str, directory: Path, **changes: str
) -> dict[str, str]:
    network = {"chainId": CHAIN_ID, "name": "mainnet", "urls": [node_url]}
    values = {
        "REDIS_URL": cache_server.url(),
        "CELERY_BROKER_URL": cache_server.url(1),
        "DATABASE_URL": f"sqlite:///{directory}/bako.sqlite3",
        "FUEL_NETWORKS": json.dumps([network]),
        "API_PORT": "0",
    }
    return clean_environment(values | changes)


@pytest.fixture(scope="module")
def served(
    cache_server: EmbeddedServer,
    node: DevnetServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of one program for several tests."""
    directory = tmp_path_factory.mktemp("served")
    with program(environment_of(cache_server, node.url, directory), directory) as process:
        yield address_of(process)


@contextmanager
def program(environment: dict[str, str], directory: Path) -> Iterator[subprocess.Popen[str]]:
    log = (directory / "api.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "api"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def test_it_prints_its_address_serves_and_ends_politely(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    with program(environment_of(cache_server, node.url, tmp_path), tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"balance-cache api listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert found is not None, line

        def answers() -> bool:
            try:
                return httpx.get(f"{found[1]}/health", timeout=1).status_code == 200
            except httpx.TransportError:
                return False

        assert wait_until(answers, seconds=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in {0, -signal.SIGTERM}


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None

    def answers() -> bool:
        try:
            return httpx.get(f"{found[0]}/health", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    assert wait_until(answers, seconds=20)
    return found[0]


def test_two_processes_share_one_limit_of_calls(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    directories = [tmp_path / "first", tmp_path / "second"]
    for directory in directories:
        directory.mkdir()
    environment = environment_of(
        cache_server, node.url, tmp_path, INTERNAL_API_KEY="key", INTERNAL_RATE_LIMIT="5"
    )
    with (
        program(environment, directories[0]) as first,
        program(environment, directories[1]) as second,
    ):
        addresses = [address_of(first), address_of(second)]
        answers = [
            httpx.get(f"{address}/internal/cache/stats", headers={"X-API-Key": "key"}, timeout=5)
            for _ in range(6)
            for address in addresses
        ]

    statuses = [answer.status_code for answer in answers]
    # A new minute may begin in between: then the count begins anew, once.
    assert 5 <= statuses.count(200) <= 10
    assert statuses.count(429) == 12 - statuses.count(200)
    for answer in answers:
        if answer.status_code == 429:
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
        b"POST /internal/cache/clear HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_next_caller_is_served(served: str, sent: bytes) -> None:
    host, _, port = served.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()

    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert httpx.get(f"{served}/health", timeout=5).status_code == 200


def test_a_port_in_use_is_named_in_one_line(
    cache_server: EmbeddedServer, node: DevnetServer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = environment_of(cache_server, node.url, tmp_path, API_PORT=str(port))
        with program(environment, tmp_path) as process:
            assert process.wait(20) == 2

    [line] = (tmp_path / "api.log").read_text().splitlines()
    assert "API_PORT" in line
    assert f"127.0.0.1:{port}" in line


def test_a_node_of_another_chain_is_refused_at_the_start(
    cache_server: EmbeddedServer, tmp_path: Path
) -> None:
    options = DevnetOptions(port=0, block_seconds=0.0, chain_id=0)
    with DevnetServer(options) as testnet:
        url = testnet.url.replace("//", "//user:geheim@")
        with program(environment_of(cache_server, url, tmp_path), tmp_path) as process:
            assert process.wait(20) == 2

    log = (tmp_path / "api.log").read_text()
    assert "serves chain id 0, configured is 9889" in log.splitlines()[-1]
    assert "geheim" not in log
    assert "Traceback" not in log
