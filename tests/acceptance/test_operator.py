"""An operator who has only the documents: what they tell him to type is what is run here."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from cli.main import main
from config.settings import current_settings
from devnet.chain import AccountBalance
from devnet.options import BASE_ASSET_ID
from domain.events import invalidated
from runtime.assembly import Runtime
from supervisor.processes import stop
from supervisor.valkey import EmbeddedServer
from tasks.names import REFILL, Queue
from tasks.publisher import open_publisher
from tests.process_support import clean_environment
from tests.shell_blocks import scene
from tests.worker_support import Site, working_site

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

BIN = Path(sys.executable).parent
CHAIN_ID = 9889
NEW_AMOUNT = 777


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, broker_server: EmbeddedServer) -> Iterator[Site]:
    with working_site(tmp_path_factory.mktemp("operator"), broker_server.url(3)) as site:
        yield site


class Shell:
    """Types commands as they stand in the documents."""

    def __init__(self, site: Site, **variables: str) -> None:
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self.environment = clean_environment(site.environment) | {"PATH": path, **variables}

    def type(self, command: str) -> tuple[int, str]:
        """Return the exit code and what was printed."""
        ended = subprocess.run(
            ["/bin/bash", "-c", command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=90,
        )
        return ended.returncode, ended.stdout

    def play(self, name: str, *, codes: tuple[int, ...] = (0,)) -> dict[str, str]:
        """Type all commands of a scene; return what each printed."""
        said = {}
        for block in scene(name):
            for command in block.commands:
                code, said[command] = self.type(command)
                assert code in codes, command + said[command]
        return said


class QuickShell(Shell):
    """Runs the program in this process, which has loaded it already: a second less for each."""

    def type(self, command: str) -> tuple[int, str]:
        words = [os.path.expandvars(word) for word in shlex.split(command)]
        assert words[0] == "balance-cache", command
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.setattr(sys, "argv", words)
            current_settings.cache_clear()
            with pytest.raises(SystemExit) as ended:
                main()
        current_settings.cache_clear()
        return int(ended.value.code or 0), said.getvalue()


@pytest.fixture
def quick(site: Site, monkeypatch: pytest.MonkeyPatch) -> QuickShell:
    shell = QuickShell(site, VAULT=site.user.addresses[2])
    for name in [name for name in os.environ if name not in shell.environment]:
        monkeypatch.delenv(name)
    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    return shell


def test_an_operator_finds_out_why_a_vault_is_stale_and_sees_the_queue_drain(site: Site) -> None:
    vault = site.user.addresses[0]
    shell = Shell(site, VAULT=vault)
    node = site.nodes[CHAIN_ID].chain
    assert shell.type(f"balance-cache warm {vault} --chain {CHAIN_ID} --wait 30")[0] == 0
    node.set_balances([AccountBalance(vault, BASE_ASSET_ID, NEW_AMOUNT)])

    # The transaction is declared; then, before the refill, the worker dies.
    assert site.worker is not None
    stop(site.worker)
    _declare(site, vault)

    said = shell.play("one vault is stale", codes=(0, 1))
    why = next(text for command, text in said.items() if "why" in command)
    assert "stale" in why
    assert "by transaction 0xfeed" in why
    assert "no fetch has failed" in why
    assert "balance-cache queues" in why
    doctor = next(text for command, text in said.items() if "doctor" in command)
    assert "no worker takes from it; 1 messages wait" in doctor
    assert "celery -A tasks worker --queues invalidation" in doctor
    queues = next(text for command, text in said.items() if "queues" in command)
    assert "nobody takes from invalidation" in queues

    # He starts a worker, as doctor says.
    site.start_worker()
    said = shell.play("the queue drains")
    why = next(text for command, text in said.items() if "why" in command)
    assert "It is fresh" in why
    assert str(NEW_AMOUNT) in shell.type(f"balance-cache inspect {vault}")[1]


def _declare(site: Site, vault: str) -> None:
    """Leave what a worker leaves that dies between the two steps of an invalidation."""

    async def half() -> None:
        runtime = await Runtime.open(site.settings)
        await runtime.cache.invalidate([vault], CHAIN_ID)
        await runtime.vault_log.note(CHAIN_ID, invalidated([vault], "transaction 0xfeed"))
        async with open_publisher(site.settings, seconds=5.0) as publisher:
            await publisher.send(REFILL, [[vault], CHAIN_ID, None], queue=Queue.INVALIDATION.value)
        await runtime.close()

    asyncio.run(half())


def test_a_vault_is_fetched_anew_as_the_documents_say(quick: QuickShell) -> None:
    said = quick.play("one vault is fetched anew")

    assert all("2 of 2 fresh" in text for text in said.values()), said


def test_every_other_block_for_operators_runs(quick: QuickShell) -> None:
    said = quick.play("in a system of one worker", codes=(0, 1))

    doctor = next(text for command, text in said.items() if "doctor" in command)
    wrong = [line.split()[1] for line in doctor.splitlines() if line.startswith("✗")]
    assert wrong == ["beat", "follower", "follower"], doctor  # of this system there is no beat


@pytest.mark.parametrize(
    "command", ["inspect $VAULT", "why $VAULT", "top", "queues", "stats", "config", "bench"]
)
def test_programs_get_one_line_of_json(quick: QuickShell, command: str) -> None:
    code, said = quick.type(f"balance-cache {command} --json")

    assert code == 0, said
    assert json.loads(said)
    assert said.count("\n") == 1
