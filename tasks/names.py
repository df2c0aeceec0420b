"""The stable names that others enqueue by, and the lanes that they go through.

Imports nothing of Celery: whoever publishes by name needs these words alone.
"""

from __future__ import annotations

from enum import StrEnum

from domain.values import Lane


class Queue(StrEnum):
    """The lanes, the most urgent first: a login storm never delays a confirmed transaction."""

    INVALIDATION = "invalidation"
    WARMUP = "warmup"
    REFRESH = "refresh"

    @property
    def lane(self) -> Lane:
        """The lane of the node calls that tasks of this queue make."""
        return Lane(self.value)


WARM_USER = "balances.warm_user"
WARM_USERS = "balances.warm_users"
WARM_PREDICATES = "balances.warm_predicates"
INVALIDATE = "balances.invalidate"
REFILL = "balances.refill"
PUBLISH_LOST = "balances.publish_lost"
REFRESH_DUE = "balances.refresh_due"
FOLLOW = "balances.follow"
INVALIDATE_ALL = "balances.invalidate_all"
CLEAR_ALL = "balances.clear_all"
REFRESH_PRICES = "prices.refresh"
AUDIT = "balances.audit"
FORGET_REPLIES = "broker.forget_replies"
KEEP = "balances.keep"
PRUNE = "balances.prune_history"

FOLLOW_SECONDS = 2
"""How often beat sees to it that somebody follows each chain."""

CONFIRM_SECONDS = 5.0
"""How long RabbitMQ may take to confirm a message; then it is published again over a new link. What
meets a queue that is just coming up after a restart may never be confirmed, and without a bound
whoever publishes it waits for ever."""

WARMUP_EXPIRES_SECONDS = 120
"""After this nobody waits for a login's warm-up any more: the dashboard was read meanwhile."""

LOGINS_OF_A_MESSAGE = 50
"""Logins that come together share messages of so many. With ten vaults each they fill two or three
node requests, and planning them keeps a lone login behind them waiting for a tenth of a second."""
