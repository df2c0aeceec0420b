"""The one tree of errors.

Transient and permanent are types, so that a retry reads the class and never the text::

    BalanceCacheError
    ├── ConfigurationError          a setting is missing or wrong; the program does not start
    ├── InvalidValueError           a value from outside is in no valid form
    │   └── InvalidAddressError
    ├── UnknownPredicateError       no such predicate, or not this user's
    ├── UnknownNetworkError         a chain id that is not on the allow-list
    ├── UnknownUserError            no such user
    ├── CacheUnavailableError       Redis does not answer
    ├── RegistryUnavailableError    the database does not answer
    ├── PublishingError             the broker did not take a task in time
    ├── BrokerUnavailableError      the broker does not tell what waits in its lanes
    ├── PriceSourceError            the configured source of prices gave none
    ├── PaymentError                a simulated node did not pay for the demo page
    └── ProviderError               the Fuel node gave no balances
        ├── TransientProviderError  worth a retry, on this node or the next
        │   ├── NodeUnreachableError    no connection, no answer in time, a broken answer
        │   ├── NodeOverloadedError     429, 408, 5xx
        │   ├── NodeBehindError         the node has not reached the required height
        │   └── BudgetExhaustedError    our own limit of node calls; ask again later
        └── PermanentProviderError  the same request will fail again
            ├── MalformedAnswerError    an answer that is not what the schema promises
            ├── QueryRefusedError       the node refuses the query itself
            │   └── QueryTooComplexError
            ├── VaultTooLargeError      more assets of a vault than are kept of any
            └── WrongChainError         the node serves another chain than configured
"""

from __future__ import annotations


class BalanceCacheError(Exception):
    """The root: everything that this project raises on purpose."""


class ConfigurationError(BalanceCacheError):
    """A setting is missing or wrong."""


class InvalidValueError(BalanceCacheError, ValueError):
    """A value from outside is in no valid form."""


class InvalidAddressError(InvalidValueError):
    """A text is not a Fuel address in any accepted form."""

    def __init__(self, text: str, why: str = "expected 0x and 64 hex digits, or fuel1…") -> None:
        super().__init__(f"not a Fuel address: {text[:80]!r} ({why})")
        self.text = text


class UnknownPredicateError(BalanceCacheError):
    """There is no such predicate, or it is not this user's; the two look the same on purpose."""

    def __init__(self, predicate_id: str) -> None:
        super().__init__(f"no predicate {predicate_id!r}")
        self.predicate_id = predicate_id


class UnknownUserError(BalanceCacheError):
    """There is no such user."""

    def __init__(self, user_id: str) -> None:
        super().__init__(f"no user {user_id!r}")
        self.user_id = user_id


class UnknownNetworkError(BalanceCacheError):
    """A chain id is not on the allow-list of networks."""

    def __init__(self, chain_id: int) -> None:
        super().__init__(f"no network with chain id {chain_id} is configured (FUEL_NETWORKS)")
        self.chain_id = chain_id


class CacheUnavailableError(BalanceCacheError):
    """Redis does not answer; whoever asks goes to the node, bounded, and says so."""


class RegistryUnavailableError(BalanceCacheError):
    """The database does not answer, or its tables are not there; worth a retry later."""


class PublishingError(BalanceCacheError):
    """The broker did not take a task within the bound; nothing was accepted."""


class BrokerUnavailableError(BalanceCacheError):
    """The broker does not tell in time what waits in its lanes."""


class PriceSourceError(BalanceCacheError):
    """The configured source of prices gave none that can be used; the known ones go on."""


class PaymentError(BalanceCacheError):
    """A payment of the demo page was not made: the node is not a simulated one, or refuses."""


class ProviderError(BalanceCacheError):
    """The Fuel node gave no balances. Never to be read as "no balances"."""


class TransientProviderError(ProviderError):
    """A failure that may be gone at the next try."""


class NodeUnreachableError(TransientProviderError):
    """No connection, no answer within the deadline, or an answer that broke off."""


class NodeOverloadedError(TransientProviderError):
    """The node or a gateway before it asks us to come back: 408, 429 or 5xx.

    Attributes:
        retry_after_seconds: how long it wants to be left alone; 0: it does not say.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NodeBehindError(TransientProviderError):
    """The node has not reached the required height."""

    def __init__(self, required: int, current: int | None) -> None:
        super().__init__(f"the node is behind: required height {required}, current {current}")
        self.required = required
        self.current = current


class BudgetExhaustedError(TransientProviderError):
    """Our own limit of node calls leaves no place before the deadline."""


class PermanentProviderError(ProviderError):
    """A failure that the same request will meet again."""


class MalformedAnswerError(PermanentProviderError):
    """An answer that is not what the node's schema promises."""


class QueryRefusedError(PermanentProviderError):
    """The node refuses the query: syntax, validation, limits, or a resolver's error."""


class QueryTooComplexError(QueryRefusedError):
    """The node's complexity limit is lower than the request's cost; ask for fewer vaults."""


class VaultTooLargeError(PermanentProviderError):
    """The node told more assets of a vault than are kept of any (4 MiB of JSON)."""


class WrongChainError(PermanentProviderError):
    """A node reports another chain id than the one that it is configured for."""

    def __init__(self, network_url: str, expected: int, reported: int) -> None:
        super().__init__(
            f"the node {network_url} serves chain id {reported}, configured is {expected}"
        )
        self.expected = expected
        self.reported = reported
