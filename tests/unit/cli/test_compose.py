"""docker-compose.yml and the Dockerfile agree with the program that they start."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery
from typer.main import get_command

from cli.main import app
from config.settings import Settings
from tests.process_support import clean_environment

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ONCE = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_the_whole_system_is_there() -> None:
    assert {"redis", "postgres", "worker", "beat", "api", "flower", "devnet"} <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_a_pinned_image(name: str) -> None:
    service = SERVICES[name]

    assert name in ONCE or service["healthcheck"]["test"]
    assert re.fullmatch(r"[a-z-]+:\d+(\.\d+)+(-[a-z0-9]+)?", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_starts_before_what_he_needs_is_healthy(name: str) -> None:
    needs: dict[str, Any] = SERVICES[name].get("depends_on", {})

    assert set(needs) <= set(SERVICES)
    for need, how in needs.items():
        expected = "service_completed_successfully" if need in ONCE else "service_healthy"
        assert how == {"condition": expected}


@pytest.mark.parametrize("name", ["worker", "worker-invalidation", "api"])
def test_programs_wait_for_the_services_that_they_use(name: str) -> None:
    assert {"redis", "broker", "postgres"} <= set(SERVICES[name]["depends_on"])


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    check_command(OURS[name]["command"])


def check_command(words: list[str]) -> None:
    """Make sure that the program knows a command and its options."""
    program, *arguments = words
    if program == "balance-cache":
        command = get_command(app)
        subcommand = command.commands[arguments[0]]  # type: ignore[attr-defined] # a click group
        options = {option for parameter in subcommand.params for option in parameter.opts}
        assert {a for a in arguments if a.startswith("--")} <= options
    else:
        assert (program, arguments[:2]) == ("celery", ["-A", "tasks"])
        assert arguments[2] in {*celery.commands, "flower"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    settings = {field.upper() for field in Settings.model_fields}

    assert set(OURS[name]["environment"]) <= settings


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_is_root_writes_to_his_image_or_takes_all_of_the_machine(name: str) -> None:
    service = SERVICES[name]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory", "pids"} == set(service["deploy"]["resources"]["limits"])


def test_secrets_stand_in_files_that_are_settings_and_in_no_environment() -> None:
    settings = {field.upper() for field in Settings.model_fields}
    asked = {secret for service in OURS.values() for secret in service["secrets"]}

    assert asked == {"DATABASE_URL", "INTERNAL_API_KEY", "FLOWER_BASIC_AUTH"}
    assert asked <= settings
    for name, secret in COMPOSE["secrets"].items():
        path = secret["file"].replace(
            "${SECRETS:-./deploy/compose/secrets}", "deploy/compose/secrets"
        )
        assert (ROOT / path).is_file()
        assert Path(path).name == name
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert variable.endswith("_FILE") or "PASSWORD" not in variable
            assert not re.search(r"://[^/\s]+:[^/\s]+@", str(value))


def flower_with(secret: str | None, directory: Path) -> subprocess.CompletedProcess[str]:
    """Start Flower as its container does, with a broker that is not there."""
    if secret is not None:
        (directory / "FLOWER_BASIC_AUTH").write_text(secret)
    words = [word.replace("/app", str(ROOT)) for word in SERVICES["flower"]["command"]]
    # It ends where its address is none of this machine's: behind its door, before the broker.
    words = [word.replace("--address=0.0.0.0", "--address=192.0.2.1") for word in words]
    given = {
        "SECRETS_DIR": str(directory),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        **{k: v for k, v in SERVICES["flower"]["environment"].items() if k.startswith("FLOWER")},
    }
    return subprocess.run(
        [sys.executable, "-m", *words],
        env=clean_environment(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("secret", [None, "", "\n"])
def test_flower_does_not_start_until_its_secret_is_written(
    secret: str | None, tmp_path: Path
) -> None:
    ended = flower_with(secret, tmp_path)

    assert ended.returncode == 2, ended.stderr
    assert "FLOWER_BASIC_AUTH is not set" in ended.stderr


def test_flower_takes_its_password_from_the_file(tmp_path: Path) -> None:
    ended = flower_with("operator:a-password\n", tmp_path)

    assert "FLOWER_BASIC_AUTH" not in ended.stderr
    assert "192.0.2.1" in ended.stderr or "assign" in ended.stderr, ended.stderr
    assert "a-password" not in ended.stdout + ended.stderr


def test_the_demo_page_is_off_until_it_is_asked_for() -> None:
    assert SERVICES["api"]["environment"]["DEMO_PAGE"] == "${DEMO_PAGE:-false}"


def test_all_lanes_are_worked_on() -> None:
    commands = [" ".join(service["command"]) for service in OURS.values()]
    lanes = [
        lane
        for command in commands
        for listed in re.findall(r"--queues (\S+)", command)
        for lane in listed.split(",")
    ]

    assert sorted(lanes) == ["invalidation", "refresh", "warmup"]


def test_only_loopback_is_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_holds_every_package_and_is_not_roots() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)

    assert set(re.findall(r"^COPY (\w+) \./\1$", DOCKERFILE, re.MULTILINE)) == set(packages)
    assert users == ["balance"]
    assert re.search(r"useradd .*--uid 10001 balance", DOCKERFILE)
    for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-[a-z-]+", base)
