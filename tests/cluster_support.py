"""A real three-node cluster and a real Sentinel with a primary and its replica, on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis as BlockingRedis
from redis.exceptions import RedisError

from supervisor.ports import free_port
from supervisor.processes import spawn, stop
from supervisor.valkey import EmbeddedServer, server_binary
from supervisor.waiting import wait_until

_SLOTS = 16_384


@contextmanager
def running_cluster(directory: Path) -> Iterator[str]:
    """Run three nodes that share the slots; gives their address."""
    with ExitStack() as stack:
        servers = []
        for number in range(3):
            (directory / str(number)).mkdir()
            server = EmbeddedServer.start(
                port=_cluster_port(),
                extra=(
                    *("--dir", str(directory / str(number))),
                    # Long: on a busy machine a node that is merely slow must not be taken for lost.
                    *("--cluster-enabled", "yes", "--cluster-node-timeout", "30000"),
                    # What the others hold is there while one of them is away.
                    *("--cluster-require-full-coverage", "no"),
                ),
            )
            stack.callback(server.stop)
            servers.append(server)
        admins = [BlockingRedis(port=server.port) for server in servers]
        bounds = [_SLOTS * number // 3 for number in range(4)]
        for number, admin in enumerate(admins):
            stack.callback(admin.close)
            _send(admin, "CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            _send(admin, "CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        assert wait_until(lambda: all(_is_whole(admin) for admin in admins), seconds=30)
        yield f"redis+cluster://127.0.0.1:{servers[0].port}"


def _send(admin: BlockingRedis, *command: str | int) -> Any:
    return admin.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py: untyped


def _cluster_port() -> int:
    """Return a free port whose bus port, 10,000 above, exists."""
    while (port := free_port()) > 55_000:
        pass
    return port


def _is_whole(admin: BlockingRedis) -> bool:
    info = bytes(_send(admin, "CLUSTER", "INFO"))
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


@contextmanager
def running_sentinel(directory: Path) -> Iterator[tuple[str, EmbeddedServer]]:
    """Run a primary, its replica and one Sentinel; gives their address and the primary."""
    with ExitStack() as stack:
        primary = EmbeddedServer.start(extra=("--repl-diskless-sync-delay", "0"))
        stack.callback(primary.stop)
        replica = EmbeddedServer.start(extra=("--replicaof", f"127.0.0.1 {primary.port}"))
        stack.callback(replica.stop)
        port = free_port()
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor vaults 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds vaults 500\n"
            "sentinel failover-timeout vaults 5000\n"
        )
        process = spawn(
            [str(server_binary()), str(settings), "--sentinel"], output=subprocess.DEVNULL
        )
        stack.callback(stop, process)
        admin = BlockingRedis(port=port)
        stack.callback(admin.close)
        assert wait_until(lambda: _knows_a_replica(admin), seconds=30)
        yield f"redis+sentinel://127.0.0.1:{port}/vaults/0", primary


def _knows_a_replica(admin: BlockingRedis) -> bool:
    try:
        known = admin.sentinel_slaves("vaults")
    except RedisError:
        return False
    return bool(known) and known[0].get("master-link-status") == "ok"
