"""What can go wrong between a caller and the service.

BalanceCacheError
├── UnreachableError       no answer in time, or no connection
├── RefusedError           the service said no
├── MalformedAnswerError   something else listens there
└── NotEnqueuedError       the broker did not take a task in time
"""

from __future__ import annotations

_FIRST_TRANSIENT_STATUS = 500
_TRANSIENT_STATUSES = frozenset({408, 429})


class BalanceCacheError(Exception):
    """The root of this package's errors."""


class UnreachableError(BalanceCacheError):
    """No answer in time, or no connection; the service may have done what was asked."""


class MalformedAnswerError(BalanceCacheError):
    """An answer that is not what the service documents: something else listens there."""


class NotEnqueuedError(BalanceCacheError):
    """The broker did not confirm a task in time; it may still arrive, and may be sent again."""


class RefusedError(BalanceCacheError):
    """The service said no, as ``application/problem+json``.

    Attributes:
        status: the HTTP status.
        title: its short words.
        detail: what was wrong.
        retry_after_seconds: how long to wait, where it said so.
    """

    def __init__(
        self, status: int, title: str, detail: str, retry_after_seconds: float | None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.status in _TRANSIENT_STATUSES or self.status >= _FIRST_TRANSIENT_STATUS
