"""Credentials never reach a log line, whoever writes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from config.logging import configure_logging, without_userinfo


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")

    structlog.get_logger("cache").info("published", chain_id=0)

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["chain_id"], line["level"]) == ("published", 0, "info")


def test_credentials_are_removed_from_fields_messages_and_tracebacks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO")

    structlog.get_logger().warning("lost", node="https://user:secret@node.example/v1")
    logging.getLogger("library").warning("cannot reach amqp://guest:secret@broker:5672//")
    try:
        raise ValueError("redis://:secret@cache:6379/0")
    except ValueError:
        logging.getLogger("library").exception("failed")

    output = capsys.readouterr().err
    assert "secret" not in output
    assert "https://node.example/v1" in output


def test_an_address_without_credentials_stays_as_it_is() -> None:
    assert without_userinfo("see https://node.example/a@b") == "see https://node.example/a@b"
