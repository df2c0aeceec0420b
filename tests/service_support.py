"""The whole service for its clients: a worker with all that it works with, and the API."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from supervisor.valkey import BROKER_POLICY, EmbeddedServer
from supervisor.waiting import wait_until
from tests.process_support import clean_environment
from tests.worker_support import Site, working_site

KEY = "key-of-the-clients"


@dataclass(frozen=True)
class Service:
    """A running service; `variables` are what the clients' examples read."""

    site: Site
    url: str

    @property
    def variables(self) -> dict[str, str]:
        user = self.site.user
        return {
            "BALANCE_CACHE_URL": self.url,
            "BALANCE_CACHE_KEY": KEY,
            "USER_ID": user.user_id,
            "USER_TOKEN": user.token,
            "USER_ADDRESS": user.user_address,
        }


@contextmanager
def running_service(directory: Path) -> Iterator[Service]:
    broker = EmbeddedServer.start(policy=BROKER_POLICY)
    try:
        with (
            working_site(directory, broker.url(), INTERNAL_API_KEY=KEY) as site,
            _api(site, directory) as url,
        ):
            yield Service(site, url)
    finally:
        broker.stop()


@contextmanager
def _api(site: Site, directory: Path) -> Iterator[str]:
    with (directory / "api.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "api"],
            env=clean_environment({**site.environment, "API_PORT": "0"}),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            url = found[0]
            assert wait_until(lambda: _answers(url), seconds=30)
            yield url
        finally:
            process.kill()
            process.communicate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def examples(readme: Path, language: str) -> list[str]:
    """Return the code blocks of a language in a document."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", readme.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
