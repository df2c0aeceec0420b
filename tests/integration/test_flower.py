"""Worker, beat and Flower as programs: what Flower's API and its pages tell, and to whom."""

from __future__ import annotations

import base64
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

import tasks
from supervisor.ports import free_port, is_listening
from supervisor.processes import spawn, stop
from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tasks.names import INVALIDATE, REFRESH_DUE, WARM_USER
from tasks.publisher import open_publisher
from tests.process_support import clean_environment
from tests.worker_support import Site, working_site

LOGIN = "operator:password-of-flower"
HEADER = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
PRESET = Path(tasks.__file__).with_name("flowerconfig.py")


@contextmanager
def _celery(site: Site, *arguments: str, **environment: str) -> Iterator[None]:
    log_path = site.log_path.with_name(f"{arguments[0]}.log")
    with log_path.open("ab") as log:
        process = spawn(
            [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
            environment=clean_environment({**site.environment, **environment}),
            output=log,
            death_signal=signal.SIGKILL,
        )
    try:
        yield
        assert process.poll() is None, log_path.read_text()
    finally:
        stop(process)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    broker = EmbeddedServer.start(policy=BROKER_POLICY)
    with working_site(tmp_path_factory.mktemp("flower"), broker.url()) as site:
        yield site
    broker.stop()


@pytest.fixture(scope="module")
def flower(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Flower's address; worker and beat run."""
    port = free_port()
    kept = tmp_path_factory.mktemp("kept") / "flower"
    schedule = str(kept.with_name("schedule"))
    arguments = (f"--conf={PRESET}", "--address=127.0.0.1", f"--port={port}")
    with (
        _celery(site, "flower", *arguments, FLOWER_BASIC_AUTH=LOGIN, FLOWER_DB=str(kept)),
        _celery(site, "beat", "--schedule", schedule),
    ):
        assert wait_until(lambda: is_listening(port), seconds=60)
        address = f"http://127.0.0.1:{port}"
        # It knows tasks of beat: so it listens to events, and misses none from now on.
        assert wait_until(lambda: bool(_tasks(address)), seconds=60)
        _publish(site)
        yield address


def _publish(site: Site) -> None:
    app = open_publisher(site.settings)._app
    app.send_task(INVALIDATE, args=[list(site.user.addresses), 9889], queue="invalidation")
    app.send_task(WARM_USER, args=[site.user.user_id, 0], queue="warmup")
    app.close()


def _get(flower: str, path: str) -> Any:
    answer = httpx.get(f"{flower}{path}", headers={"Authorization": HEADER}, timeout=30)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


def _tasks(flower: str) -> list[dict[str, Any]]:
    return list(_get(flower, "/api/tasks?limit=1000").values())


def test_nobody_sees_anything_without_the_password(flower: str) -> None:
    for path in ("/", "/tasks", "/workers", "/api/workers", "/api/tasks", "/api/queues/length"):
        assert httpx.get(f"{flower}{path}", timeout=30).status_code == 401
        wrong = httpx.get(f"{flower}{path}", auth=("operator", "wrong"), timeout=30)
        assert wrong.status_code == 401


def test_the_api_tells_workers_tasks_of_users_and_of_beat_and_queues(
    flower: str, site: Site
) -> None:
    def succeeded() -> set[str]:
        return {task["name"] for task in _tasks(flower) if task["state"] == "SUCCESS"}

    wanted = {INVALIDATE, WARM_USER, REFRESH_DUE}
    assert wait_until(lambda: wanted <= succeeded(), seconds=60), succeeded()
    workers = _get(flower, "/api/workers?refresh=1")
    queues = {queue["name"] for queue in _get(flower, "/api/queues/length")["active_queues"]}
    invalidation = next(task for task in _tasks(flower) if task["name"] == INVALIDATE)

    assert len(workers) == 1
    assert queues == {"invalidation", "warmup", "refresh"}
    assert site.user.addresses[0][:8] + "…" in invalidation["args"]
    assert not re.search(r"0x[0-9a-f]{40}", invalidation["args"])


def test_its_pages_show_workers_tasks_and_the_broker(flower: str, page: Page) -> None:
    assert wait_until(
        lambda: any(task["name"] == INVALIDATE for task in _tasks(flower)), seconds=60
    )
    page.set_extra_http_headers({"Authorization": HEADER})

    page.goto(f"{flower}/workers")
    expect(page.locator("body")).to_contain_text("celery@")
    expect(page.locator("body")).to_contain_text("Online")
    page.goto(f"{flower}/tasks")
    expect(page.locator("#tasks-table")).to_contain_text(re.compile(r"balances\.\w+"))
    expect(page.locator("#tasks-table")).to_contain_text("SUCCESS")
    page.goto(f"{flower}/broker")
    expect(page.locator("body")).to_contain_text("invalidation")


def test_what_it_keeps_is_bounded() -> None:
    preset: dict[str, Any] = {}
    source = PRESET.read_text()
    exec(compile(source, str(PRESET), "exec"), preset)  # noqa: S102 - as Flower reads it

    assert 0 < preset["max_tasks"] <= 10_000
    assert 0 < preset["max_workers"] <= 200
    assert preset["purge_offline_workers"]
    assert preset["persistent"] is False  # until FLOWER_DB names a file
