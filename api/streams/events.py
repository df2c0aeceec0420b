"""The words of a stream: events as bytes, and the ids by which a reader resumes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from api.problems import ProblemError
from domain.values import ChainId

EVENT_ID = r"^[0-9]{1,20}-[0-9]{1,20}\.[0-9a-f]{12}$"
"""How an id looks: a position in the stream of changes, and what the stream was about."""

_LARGEST = 2**64 - 1

Position = tuple[int, int]
"""A place in the stream of changes; later ones are greater."""


@dataclass(frozen=True, slots=True)
class EventId:
    """After which change a reader resumes, and whose vaults it had been told about.

    Attributes:
        position: the change.
        subject: names user, chain, vaults and the server's history: `subject_of`.
    """

    position: Position
    subject: str

    def __str__(self) -> str:
        milliseconds, sequence = self.position
        return f"{milliseconds}-{sequence}.{self.subject}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Read an id that a reader gives back.

        Raises:
            ProblemError: 422, no stream has ever said that.
        """
        if re.match(EVENT_ID, text) is None:
            raise ProblemError(422, "Invalid request", "Last-Event-ID: not an id of this stream.")
        position, _, subject = text.partition(".")
        return cls(parse_position(position), subject)


def parse_position(text: str) -> Position:
    """Read a position as Redis writes it; what is beyond every position is the last one."""
    milliseconds, _, sequence = text.partition("-")
    return min(int(milliseconds), _LARGEST), min(int(sequence), _LARGEST)


def subject_of(
    user_id: str, chain_id: ChainId, predicate_ids: Iterable[str], epoch: str | None
) -> str:
    """Name what a stream is about: who resumes another one must begin anew."""
    parts = [user_id, str(chain_id), str(epoch), *sorted(predicate_ids)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def event(name: str, data: object) -> bytes:
    """Return one event with JSON data."""
    return raw_event(name, json.dumps(data, separators=(",", ":")).encode())


def raw_event(name: str, data: bytes) -> bytes:
    """Return one event; the data is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def with_id(last: bytes, event_id: EventId) -> bytes:
    """Give an event an id: who has read it has read everything before it."""
    return b"id: %b\n%b" % (str(event_id).encode(), last)


def heartbeat(event_id: EventId | None) -> bytes:
    """Return what is no event and shows that the stream lives; it moves the reader's id on."""
    comment = b": heartbeat\n\n"
    return comment if event_id is None else with_id(comment, event_id)


def retry(milliseconds: int) -> bytes:
    """Tell after which time to come again when the stream breaks."""
    return b"retry: %d\n\n" % milliseconds
