"""Which message is being worked on, told to a task's body without an argument."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message.

    Attributes:
        message_id: the same for every delivery and every retry of one message.
        retries: how often it was tried before.
    """

    message_id: str = field(default_factory=lambda: uuid4().hex)
    retries: int = 0


_current: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


def set_delivery(message_id: str | None, retries: int) -> None:
    """Note what this thread works on; the event loop's tasks that it starts know it too."""
    _current.set(Delivery(retries=retries) if message_id is None else Delivery(message_id, retries))


def current_delivery() -> Delivery:
    """Return what is being worked on; a new one outside of any message."""
    return _current.get() or Delivery()
