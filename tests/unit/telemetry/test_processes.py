"""Counts of several processes are one; what a dead process saw is gone."""

from __future__ import annotations

import subprocess
import sys

from tests.metrics_support import Scrape

_PROGRAM = """
import os, signal
# As Celery's command line does for Flower: the library is there before any code of ours.
import prometheus_client
from prometheus_client import generate_latest
from domain.measures import NodeOutcome
from domain.values import Lane
from telemetry.process import counted_registry, end_sharing, process_measures, share_with_children

share_with_children()
measures = process_measures()
measures.task("balances.follow", "received")
dying = []
for child in range(3):
    ready, told = os.pipe()
    process_id = os.fork()
    if not process_id:
        process_measures().task("balances.follow", "succeeded")
        process_measures().task_ran("balances.follow", 2.0)
        process_measures().asked_node(0, "0:node", Lane.READ, NodeOutcome.ANSWERED, 0.5)
        process_measures().node_height(0, "0:node", 100 + child)
        os.write(told, b"x")
        signal.pause()
    os.read(ready, 1)
    dying.append(process_id)
living = dying.pop(0)
for process_id in dying:
    os.kill(process_id, signal.SIGKILL)
    os.waitpid(process_id, 0)
print(generate_latest(counted_registry()).decode())
os.kill(living, signal.SIGKILL)
directory = os.environ["PROMETHEUS_MULTIPROC_DIR"]
end_sharing()
assert not os.path.exists(directory)
"""


def test_what_processes_counted_stays_and_what_they_saw_goes_with_them() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    told = Scrape(ended.stdout)

    assert told.value("tasks_total", state="received") == 1
    assert told.value("tasks_total", state="succeeded") == 3
    assert told.value("task_seconds_sum") == 6.0
    assert told.value("node_request_seconds_bucket", le="0.5") == 3
    assert told.value("node_height", node="0:node") == 100  # the living one's alone
