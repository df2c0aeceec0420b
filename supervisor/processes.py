"""Child processes that never outlive us.

Each child is told by the kernel to end when its parent dies (`PR_SET_PDEATHSIG`), so that even
``kill -9`` of the parent leaves nothing behind, and leads a process group of its own, so that
stopping it reaches its children too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 10.0


def spawn(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that ends when the thread that started it, or its process, ends.

    Raises:
        FileNotFoundError: there is no such program.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def die_with_parent() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # the parent died before the request was made
                os._exit(1)

    return subprocess.Popen(
        arguments,
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd=directory,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, no locks are taken
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], seconds: float = _STOP_SECONDS) -> int:
    """End a child and its whole group: politely, then by force; returns its exit code."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # whoever of the group is left
    return process.wait()
