"""The clients against the running service: their READMEs' examples, as their readers run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.waiting import wait_until
from tests import node_support
from tests.service_support import Service, examples, running_service

CLIENTS = Path(__file__).parents[2] / "clients"
TYPESCRIPT, PYTHON = CLIENTS / "typescript", CLIENTS / "python"

TOLD = [
    "warm-up accepted: true vaults: 10",
    "vaults: 10 partial: false",
    "state: fresh assets: 0",
    "listed: 3",
    "invalidated: 1",
    "told of: true",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("clients")) as service:
        yield service


@pytest.fixture(scope="module")
def typescript() -> Path:
    """The package, built."""
    node_support.install(TYPESCRIPT)
    node_support.npm(TYPESCRIPT, "run", "build")
    return TYPESCRIPT


@pytest.mark.timeout(420)
def test_the_typescript_readme_does_what_it_says(
    service: Service, typescript: Path, tmp_path: Path
) -> None:
    packages = tmp_path / "node_modules"
    packages.mkdir()
    (packages / "balance-cache-client").symlink_to(typescript)
    [example] = examples(typescript / "README.md", "js")
    (tmp_path / "example.mjs").write_text(example, "utf-8")

    printed = node_support.run(tmp_path, "example.mjs", **service.variables)

    assert printed.splitlines() == TOLD


@pytest.mark.timeout(420)
def test_the_typescript_client_stands_alone_and_its_example_for_bako_has_the_right_types(
    typescript: Path,
) -> None:
    node_support.npm(typescript, "exec", "--", "tsc", "--project", "examples")
    sources = "".join(path.read_text("utf-8") for path in (typescript / "src").glob("*.ts"))

    assert set(re.findall(r'from "(?!\./)([^"]+)"', sources)) == set()
    assert '"dependencies"' not in (typescript / "package.json").read_text("utf-8")


@pytest.mark.timeout(420)
def test_the_typescript_client_meets_servers_that_break_off_hang_and_refuse(
    typescript: Path,
) -> None:
    done = subprocess.run(
        [shutil.which("node") or "node", "--test", "tests/"],
        cwd=typescript,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


def test_the_python_readme_does_what_it_says(service: Service, tmp_path: Path) -> None:
    example, _ = examples(PYTHON / "README.md", "python")

    printed = run_python(example, tmp_path, service.variables)

    assert [line.lower() for line in printed.splitlines()] == TOLD


def test_the_python_client_takes_no_odd_answer_and_fails_no_login(tmp_path: Path) -> None:
    printed = run_python(_ODD_ANSWERS, tmp_path, {})

    assert printed.splitlines() == ["MalformedAnswerError"] * 5 + ["False"]


_ODD_ANSWERS = """
import asyncio
import httpx
from balance_cache_client import BalanceCacheClient, BalanceCacheError

async def main():
    answer = None
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    client = BalanceCacheClient("http://elsewhere", api_key="key", transport=transport)
    for answer in (
        {}, {"data": None}, {"data": {}}, {"data": {"invalidatedCount": "2", "taskId": None}}, []
    ):
        try:
            print(await client.invalidate(["0x01"]))
        except BalanceCacheError as error:
            print(type(error).__name__)
    await client.aclose()
    print((await client.warm_up("user")).accepted)  # a login at the end of the program

asyncio.run(main())
"""


def test_the_python_readmes_way_to_the_broker_runs_our_tasks(
    service: Service, tmp_path: Path
) -> None:
    _, example = examples(PYTHON / "README.md", "python")
    user, broker = service.site.user, service.site.environment["CELERY_BROKER_URL"]
    planned = len(service.site.logged("warm_up.planned"))
    example = example.replace("amqp://guest:guest@127.0.0.1:5672//", broker)
    example += (
        "\nimport asyncio\n"
        "asyncio.run(on_start())\n"
        f"asyncio.run(on_login({user.user_id!r}))\n"
        f"asyncio.run(on_transaction({user.addresses[0]!r}, {user.addresses[1]!r}, 0))\n"
        "sender.close()\n"
    )

    run_python(example, tmp_path, {})

    wait_for_lines(service, "warm_up.planned", planned + 1)
    assert service.site.logged("task.refused") == []


def run_python(example: str, directory: Path, variables: dict[str, str]) -> str:
    """Run a program that imports the package as if it were installed; return what it prints."""
    script = directory / "example.py"
    script.write_text(example, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **variables, "PYTHONPATH": str(PYTHON)},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def wait_for_lines(service: Service, event: str, count: int) -> None:
    assert wait_until(lambda: len(service.site.logged(event)) >= count, seconds=30)
