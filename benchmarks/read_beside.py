"""What is measured beside the load: raw Redis, and a hot answer taken apart."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks.common import refuse
from benchmarks.read_stage import CHAIN, Stage
from cache.keys import Keys

Asked = tuple[str, Mapping[str, str], int]
"""Path, headers and the status that is expected."""


def raw_redis(stage: Stage, numbers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Ask Redis itself for the same bytes, by its own tool where there is one."""
    tool = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if tool is None:
        return {}
    keys = [Keys().value(address, CHAIN) for address in stage.user.addresses]
    found: dict[str, dict[str, float]] = {}
    for name, command in (("raw GET", ["GET", keys[0]]), ("raw MGET of ten", ["MGET", *keys])):
        for connections in numbers:
            ran = subprocess.run(
                [
                    tool, "-p", str(stage.redis_server.port), "-c", str(connections),
                    "-n", "30000", "--csv", *command,
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            rows = list(csv.DictReader(ran.stdout.splitlines()))
            if ran.returncode or not rows:
                refuse("redis-benchmark failed")
            row = rows[-1]
            found.setdefault(name, {})[str(connections)] = {
                "p50_ms": float(row["p50_latency_ms"]),
                "p99_ms": float(row["p99_latency_ms"]),
                "max_ms": float(row["max_latency_ms"]),
                "per_second": float(row["rps"]),
            }
    return found


def profile(stage: Stage, asked: Mapping[str, Asked]) -> dict[str, dict[str, float]]:
    """Take hot answers apart, with what is believed unasked and without: µs by answer."""
    found = {}
    for name, copied in (("local copy", "true"), ("asked", "false")):
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.read_profile", json.dumps(asked)],
            env={**os.environ, **stage.environment, "LOCAL_COPY": copied},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            refuse(f"the profile failed: {ran.stderr[-500:]}")
        found[name] = json.loads(ran.stdout.splitlines()[-1])
    return found
