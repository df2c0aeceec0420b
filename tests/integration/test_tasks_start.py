"""What a worker refuses before it takes a task."""

from __future__ import annotations

import json
import subprocess
import sys

from devnet.options import DevnetOptions
from devnet.server import DevnetServer
from supervisor.valkey import EmbeddedServer
from tests.process_support import clean_environment


def test_a_worker_does_not_start_with_a_node_of_another_chain(
    cache_server: EmbeddedServer, broker_server: EmbeddedServer
) -> None:
    with DevnetServer(DevnetOptions(port=0, chain_id=5)) as node:
        network = {"chainId": 0, "name": "testnet", "urls": [node.url]}
        environment = clean_environment(
            {
                "REDIS_URL": cache_server.url(),
                "CELERY_BROKER_URL": broker_server.url(),
                "DATABASE_URL": "sqlite:///:memory:",
                "FUEL_NETWORKS": json.dumps([network]),
            }
        )
        ended = subprocess.run(
            [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "1"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ended.returncode == 2
    assert "serves chain id 5, configured is 0" in ended.stderr.splitlines()[-1]
    assert "worker.ready" not in ended.stderr
