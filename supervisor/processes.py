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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 10.0


def die_with_parent(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to end this process when its parent does.

    For a process that was forked by a library: `spawn` sees to its own children. The kernel
    means the thread that forked us. Elsewhere than on Linux this does nothing.
    """
    _death_binding(parent, death_signal)()


def _death_binding(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """Return the call to make in the child; the library is loaded here, before the fork."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def bind() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # the parent died before the request was made
                os._exit(1)

    return bind


def spawn(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    directory: Path | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a program that ends when the thread that started it, or its process, ends.

    Args:
        arguments: the program and its arguments.
        environment: changes to our own environment, which the child gets otherwise.
        output: where its standard output and error go; None: where ours go.
        directory: where it runs; None: where we do.
        death_signal: what it is sent when we die without stopping it.

    Raises:
        FileNotFoundError: there is no such program.
    """
    parent = os.getpid()
    bind = _death_binding(parent, death_signal)

    return subprocess.Popen(
        arguments,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd=directory,
        preexec_fn=bind,  # noqa: PLW1509 - one prctl, no locks are taken
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
