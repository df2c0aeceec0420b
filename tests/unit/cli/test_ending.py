"""Whoever asks once is heard, also when the exception gets lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cli import ending
from cli.children import Children


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ending.end_in_order(with_parent=False)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    ending._word.said = False


def test_term_is_heard_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_word_that_was_lost_is_heeded_at_the_next_look(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.check()
    with suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        children.check()
