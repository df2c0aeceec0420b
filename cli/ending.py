"""Being asked to end: by Ctrl-C, by TERM, or with the parent."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from supervisor.processes import die_with_parent


@dataclass
class _Word:
    """Whether somebody said it. No `threading.Event`: a second TERM would meet its lock taken."""

    said: bool = False


_word = _Word()


def end_in_order(*, with_parent: bool) -> None:
    """Make a polite end (TERM) like Ctrl-C: every program that we started is ended.

    INT itself is named because a shell starts programs in the background with it ignored. TERM is
    passed on as INT, because that one asyncio takes as a cancellation: an exception that comes at
    any instruction can leave a lock taken for ever that a thread of the database waits for.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _ask)
    if with_parent:
        die_with_parent(os.getppid(), signal.SIGTERM)


def heed_end() -> None:
    """Look whether we were asked to end, and the exception was lost.

    Python drops what is raised in a weak reference's callback or a finalizer, and a coroutine may
    swallow its cancellation. Whoever asked by TERM asks once.

    Raises:
        KeyboardInterrupt: we were.
    """
    if _word.said:
        raise KeyboardInterrupt


def _ask(*_: object) -> None:
    _word.said = True
    signal.raise_signal(signal.SIGINT)
