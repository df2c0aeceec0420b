"""The command line: what it shows, and how it refuses."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import SecretStr

from cli.demo.figures import After, Before, Figures, Refresh, Transaction, Warmup
from cli.main import app, main
from cli.show_config import shown
from config.settings import Settings, current_settings
from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from domain.networks import Network
from supervisor.ports import free_port
from supervisor.valkey import EmbeddedServer
from tests.process_support import clean_environment

RUN = ("demo", "up", "api", "devnet", "seed")
LOOK = ("warm-up", "doctor", "why", "inspect", "top", "queues", "stats", "config", "bench")
MEND = ("warm", "invalidate", "clear", "dead-letters")


def balance_cache(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=clean_environment({"COLUMNS": "200", **environment}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_command() -> None:
    result = balance_cache("--help")

    assert result.returncode == 0
    for command in (*RUN, *LOOK, *MEND):
        assert f" {command} " in result.stdout


def test_config_shows_every_setting_and_no_secret() -> None:
    secrets = {
        "REDIS_URL": "redis://someone:hidden1@cache.internal:6379/3",
        "DATABASE_URL": "postgresql://bako:hidden2@db.internal/bako",
        "CELERY_BROKER_URL": "amqp://guest:hidden3@broker.internal//",
        "INTERNAL_API_KEY": "hidden4",
        "FUEL_NETWORKS": json.dumps(
            [{"chainId": 0, "name": "test", "urls": ["https://me:hidden5@node.internal/graphql"]}]
        ),
    }
    result = balance_cache("config", **secrets)

    assert result.returncode == 0
    assert "hidden" not in result.stdout + result.stderr
    for visible in ("cache.internal:6379/3", "db.internal", "broker.internal", "node.internal"):
        assert visible in result.stdout
    for name in Settings.model_fields:
        assert name.upper() in result.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BALANCE_CACHE_TTL", "soon"),
        ("FUEL_NETWORKS", '[{"chainId": 0}]'),
        ("API_PORT", "99999"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(variable: str, value: str) -> None:
    result = balance_cache("config", **{variable: value})

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert variable in result.stderr


def test_a_seeded_user_is_the_same_the_second_time(tmp_path: Path) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'registry.sqlite3'}"}
    with DevnetServer(DevnetOptions(port=0, block_seconds=0)) as node:
        origin = node.url.removesuffix("/v1/graphql")
        first = balance_cache("seed", "--devnet", origin, **database)
        second = balance_cache("seed", **database)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "TOKEN=0x" in first.stdout
    assert first.stdout == second.stdout


def test_a_seeded_user_is_one_line_of_json(tmp_path: Path) -> None:
    result = balance_cache(
        "seed", "--json", DATABASE_URL=f"sqlite:///{tmp_path / 'registry.sqlite3'}"
    )

    [line] = result.stdout.splitlines()
    user = json.loads(line)
    assert len(user["vaults"]) == len(user["predicateIds"]) == 10
    assert user["token"].startswith("0x")


def test_a_warm_up_is_one_line_of_json() -> None:
    cache = EmbeddedServer.start()
    try:
        result = balance_cache("warm-up", "--json", "nobody", REDIS_URL=cache.url())
    finally:
        cache.stop()

    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


def test_up_with_a_node_of_another_chain_is_one_line(tmp_path: Path) -> None:
    with DevnetServer(DevnetOptions(port=0, block_seconds=0, chain_id=5)) as node:
        networks = json.dumps([{"chainId": 0, "name": "test", "urls": [node.url]}])
        result = balance_cache("up", FUEL_NETWORKS=networks)

    assert result.returncode == 2
    assert result.stderr.splitlines() == [result.stderr.rstrip()]
    assert "serves chain id 5, configured is 0" in result.stderr
    assert result.stdout == ""


def every_command() -> list[tuple[str, ...]]:
    top = typer.main.get_command(app).commands  # type: ignore[attr-defined] # a click group
    found: list[tuple[str, ...]] = []
    for name, command in top.items():
        below = getattr(command, "commands", {})
        found += [(name, each) for each in below] or [(name,)]
    return found


def takes_a_number(annotation: object) -> bool:
    return bool({int, float} & {annotation, *get_args(annotation)})


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_what_was_typed_wrongly_is_one_line(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [["--no-such-option"]]
    group: Any = typer.main.get_command(app)
    for name in command:
        group = group.commands[name]
    numbers = [
        option.opts[0]
        for option in group.params
        if option.opts[0].startswith("--") and takes_a_number(option.type_descriptor.annotation)
    ]
    wrong += [[number, "many"] for number in numbers]

    for arguments in wrong:
        monkeypatch.setattr(sys, "argv", ["balance-cache", *command, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 2
        assert said.out == ""
        assert len(said.err.splitlines()) == 1, said.err
        assert arguments[0] in said.err


def test_a_node_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'registry.sqlite3'}"}
    origin = f"http://127.0.0.1:{free_port()}"
    result = balance_cache("seed", "--devnet", origin, **database)

    assert result.returncode == 2
    assert origin in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["api", "devnet"])
def test_a_port_in_use_is_named(command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        arguments = ["devnet", "--port", port] if command == "devnet" else ["api"]
        result = balance_cache(*arguments, API_PORT=port)

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert port in result.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (SecretStr("key"), "********"),
        (None, ""),
        (True, "true"),
        (10.0, "10.0"),
        ("redis://u:p@h:1/2", "redis://h:1/2"),
        (Network(0, "test", ("http://u:p@h/graphql",)), "0 test: http://h/graphql"),
    ],
)
def test_a_setting_is_shown_for_people(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_figures_are_one_line_of_json() -> None:
    figures = Figures(
        Before(5.91234, 11), Warmup(0.7, 10, 2), After(0.3, 0), Transaction(0.6, 0), Refresh(10)
    )
    line = figures.as_json()

    assert "\n" not in line
    assert json.loads(line) == {
        "before": {"seconds": 5.912, "node_calls": 11},
        "warmup": {"seconds": 0.7, "predicates": 10, "node_requests": 2},
        "after": {"seconds": 0.3, "node_calls": 0},
        "transaction": {"seconds_until_right": 0.6, "stale_reads": 0},
        "refresh": {"refreshed": 10},
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("why",),
        ("why", "nonsense"),
        ("inspect", "0x" + "a" * 63),
        ("why", "0x" + "a" * 64, "--chain", "77"),
        ("why", "0x" + "a" * 64, "--chain", "nonsense"),
        ("warm",),
        ("warm", "0x" + "a" * 64, "--user", "somebody"),
        ("invalidate",),
        ("invalidate", "0x" + "a" * 64, "--all"),
        ("invalidate", "0x" + "a" * 64, "--height", "5"),
        ("invalidate", "--all", "--height", "5", "--chain", "0"),
        ("clear", "--all"),
        ("top", "nonsense"),
        ("bench", "--readers", "0"),
        ("nonsense",),
        ("doctor", "--nonsense"),
    ],
)
def test_what_is_typed_wrongly_is_told_in_one_line(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["balance-cache", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    current_settings.cache_clear()

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("top",), ("queues",), ("stats", "--json")])
def test_what_does_not_answer_is_told_in_one_line_and_another_code(
    arguments: tuple[str, ...],
) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    result = balance_cache(*arguments, REDIS_URL=nowhere, CELERY_BROKER_URL=nowhere)

    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1


def test_nothing_is_coloured_where_nobody_looks() -> None:
    result = balance_cache("config")

    assert "\x1b[" not in result.stdout
