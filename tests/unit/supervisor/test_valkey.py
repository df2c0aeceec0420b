"""The embedded server."""

from __future__ import annotations

import pytest

from domain.errors import ConfigurationError
from supervisor.ports import free_port, is_listening
from supervisor.valkey import EmbeddedServer, server_binary


def test_a_server_answers_from_its_start_and_is_gone_after_its_stop() -> None:
    server = EmbeddedServer.start()
    answered = is_listening(server.port)
    server.stop()

    assert answered
    assert not is_listening(server.port)
    assert server.url(2) == f"redis://127.0.0.1:{server.port}/2"


def test_a_port_in_use_is_named(cache_server: EmbeddedServer) -> None:
    with pytest.raises(ConfigurationError, match=str(cache_server.port)):
        EmbeddedServer.start(port=cache_server.port)


def test_a_machine_without_a_binary_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(ConfigurationError, match="REDIS_URL and CELERY_BROKER_URL"):
        server_binary()


def test_a_free_port_is_free() -> None:
    assert not is_listening(free_port())
