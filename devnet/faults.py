"""Faults on demand: which requests meet which failure.

A fault strikes requests until it has struck `count` times. Of several the one that was set first
strikes, and a request meets one at most.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.errors import InvalidValueError


class FaultKind(StrEnum):
    """What can go wrong."""

    RATE_LIMITED = "rate_limited"  # 429 with an HTML page, as gateways answer
    TIMEOUT = "timeout"  # 408 with no body, as the node answers after 30 s
    SERVER_ERROR = "server_error"  # `status` (500 to 599) with an HTML page
    RESET = "reset"  # the connection is reset instead of an answer
    TRUNCATED = "truncated"  # the connection ends in the middle of the body
    CUT_JSON = "cut_json"  # a complete answer whose JSON ends in the middle
    NOT_JSON = "not_json"  # 200 with an HTML page
    WRONG_SHAPE = "wrong_shape"  # 200 with JSON that is no GraphQL answer
    GRAPHQL_ERROR = "graphql_error"  # a resolver's error, `message`
    SLOW = "slow"  # `milliseconds` more than usual
    LAG = "lag"  # an answer of `blocks` blocks ago
    SWALLOWED_ERROR = "swallowed_error"  # lists break off after `rows`, without an error
    WRONG_CHAIN_ID = "wrong_chain_id"  # the node reports `chainId`
    CUT_STREAM = "cut_stream"  # an event stream ends after `events`, before the final status


PARAMETERS: dict[FaultKind, dict[str, int | str]] = {
    FaultKind.SERVER_ERROR: {"status": 502},
    FaultKind.GRAPHQL_ERROR: {"message": "a storage error"},
    FaultKind.SLOW: {"milliseconds": 1000},
    FaultKind.LAG: {"blocks": 5},
    FaultKind.SWALLOWED_ERROR: {"rows": 0},
    FaultKind.WRONG_CHAIN_ID: {"chainId": 424_242},
    FaultKind.CUT_STREAM: {"events": 1},
}
"""The parameters of each kind that has any, and what they are when nobody says."""

_STREAMING_ONLY = frozenset({FaultKind.CUT_STREAM})
_SERVER_ERRORS = range(500, 600)


@dataclass(slots=True)
class Fault:
    """A failure that requests meet.

    Attributes:
        kind: what goes wrong.
        probability: how likely a request meets it.
        count: how many requests it strikes; None: until it is removed.
        after: how many requests pass before it begins.
        node: of which node; None: of all.
        operation: of which operation; None: of all.
        parameters: what the kind needs to know.
        number: its id.
        struck: how many requests it struck.
    """

    kind: FaultKind
    probability: float = 1.0
    count: int | None = None
    after: int = 0
    node: int | None = None
    operation: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        """Check the figures, and fill in the parameters that nobody gave.

        Raises:
            InvalidValueError: one is out of range, unknown or of another type.
        """
        if not 0 <= self.probability <= 1:
            raise InvalidValueError("probability is from 0 to 1")
        if (self.count is not None and self.count < 1) or self.after < 0:
            raise InvalidValueError("count is at least 1 and after at least 0")
        defaults = PARAMETERS.get(self.kind, {})
        for name, value in self.parameters.items():
            if name not in defaults:
                raise InvalidValueError(f"{self.kind} has no parameter {name}")
            _check_parameter(name, value, defaults[name])
        self.parameters = {**defaults, **self.parameters}

    @property
    def spent(self) -> bool:
        """Tell whether it strikes no more."""
        return self.count is not None and self.struck >= self.count

    def concerns(self, node: int, operation: str | None, *, streaming: bool) -> bool:
        """Tell whether a request may meet it."""
        return (
            not self.spent
            and self.node in (None, node)
            and self.operation in (None, operation)
            and (streaming or self.kind not in _STREAMING_ONLY)
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for the answer of the admin interface."""
        return {
            "id": self.number,
            "kind": self.kind.value,
            "probability": self.probability,
            "count": self.count,
            "after": self.after,
            "node": self.node,
            "operation": self.operation,
            "struck": self.struck,
            **self.parameters,
        }


def _check_parameter(name: str, value: object, default: int | str) -> None:
    if type(value) is not type(default):
        expected = "a text" if isinstance(default, str) else "a whole number"
        raise InvalidValueError(f"{name} is {expected}")
    if isinstance(value, int) and value < 0:
        raise InvalidValueError(f"{name} is not negative")
    if name == "status" and value not in _SERVER_ERRORS:
        raise InvalidValueError("status is from 500 to 599")


class FaultPlan:
    """The faults that are set. Thread-safe; the same seed draws the same requests."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def add(self, fault: Fault) -> Fault:
        """Set a fault; it gets its id."""
        with self._lock:
            fault.number = next(self._numbers)
            self._faults.append(fault)
            return fault

    def remove(self, number: int) -> bool:
        """Remove a fault; False when there is none of that id."""
        with self._lock:
            kept = [fault for fault in self._faults if fault.number != number]
            found = len(kept) < len(self._faults)
            self._faults = kept
            return found

    def clear(self, seed: int = 0) -> None:
        """Remove all faults, and begin the draws anew."""
        with self._lock:
            self._faults = []
            self._random.seed(seed)

    def all(self) -> list[Fault]:
        """Return the faults that are set, spent ones too."""
        with self._lock:
            return list(self._faults)

    def draw(self, node: int, operation: str | None, *, streaming: bool = False) -> Fault | None:
        """Return the fault that a request meets."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(node, operation, streaming=streaming) and self._strikes(fault):
                    fault.struck += 1
                    return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        if fault.after:
            fault.after -= 1
            return False
        return fault.probability >= 1 or self._random.random() < fault.probability
