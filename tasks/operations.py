"""What the tasks do, as plain functions over collaborators that are passed in. Knows no Celery."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from domain.errors import InvalidValueError, PermanentProviderError
from domain.ports import (
    BalanceCache,
    BalanceReader,
    Busy,
    Refilled,
    RefillFailed,
    RefillOutcome,
)
from domain.values import (
    Address,
    BlockHeight,
    ChainId,
    Lane,
    check_block_height,
    check_chain_id,
    parse_address,
)

_ROUNDS = 3
"""How often one run looks again at a predicate that somebody else is fetching."""


@dataclass(frozen=True, slots=True)
class WarmUpPlan:
    """What logins fetch on one chain; each vault once, the newest of each login first.

    Attributes:
        chain_id: the chain.
        now: those to fetch at once.
        later: those beyond what a login may have at once; they go through the lower lane.
    """

    chain_id: ChainId
    now: tuple[Address, ...]
    later: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class RefillReport:
    """What became of a refill.

    Attributes:
        done: fetched and published now.
        already: fresh, or being fetched by somebody else.
        remaining: worth another try; the reason is the last failure's.
        given_up: the node refuses them for good; the same request would fail again.
    """

    done: tuple[Address, ...] = ()
    already: tuple[Address, ...] = ()
    remaining: tuple[Address, ...] = ()
    given_up: tuple[Address, ...] = ()
    reason: str = ""

    def counts(self) -> Mapping[str, int]:
        """Return how many predicates had each outcome."""
        return {
            "refilled": len(self.done),
            "already": len(self.already),
            "remaining": len(self.remaining),
            "given_up": len(self.given_up),
        }


def parse_addresses(raw: object) -> tuple[Address, ...]:
    """Return the addresses of a message in their one form, without duplicates, in order.

    Raises:
        InvalidValueError: not a list of texts, or one of them is no address.
    """
    if not isinstance(raw, list | tuple) or not all(isinstance(text, str) for text in raw):
        raise InvalidValueError("addresses must be a list of texts")
    if not raw:
        raise InvalidValueError("addresses must name at least one predicate")
    return tuple(dict.fromkeys(parse_address(text) for text in raw))


def parse_chain_id(raw: object) -> ChainId:
    """Return the chain id of a message.

    Raises:
        InvalidValueError: not a whole number in range.
    """
    return check_chain_id(_whole_number(raw, "chain_id"))


def parse_block_height(raw: object) -> BlockHeight | None:
    """Return the block height of a message; None stays None.

    Raises:
        InvalidValueError: not a whole number in range.
    """
    return None if raw is None else check_block_height(_whole_number(raw, "block_height"))


def parse_user_id(raw: object) -> str:
    """Return the user id of a message.

    Raises:
        InvalidValueError: not a text, or an empty one.
    """
    if not isinstance(raw, str) or not raw:
        raise InvalidValueError("user_id must be a text")
    return raw


def parse_user_ids(raw: object) -> tuple[str, ...]:
    """Return the user ids of a message, each once, in order.

    Raises:
        InvalidValueError: not a list of texts, or one of them is empty, or there is none.
    """
    if not isinstance(raw, list | tuple) or not raw:
        raise InvalidValueError("user_ids must be a list of texts")
    return tuple(dict.fromkeys(parse_user_id(one) for one in raw))


def _whole_number(raw: object, name: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise InvalidValueError(f"{name} must be a whole number")
    return raw


async def plan_warm_up(
    cache: BalanceCache,
    *,
    wanted: Collection[Sequence[Address]],
    chain_ids: Sequence[ChainId],
    at_once: int,
    skip_fresh: bool,
) -> list[WarmUpPlan]:
    """Decide what logins fetch: the newest `at_once` predicates of each first, the rest later.

    What is fresh costs nothing, so that a repeated login is free.

    Args:
        cache: knows what is fresh.
        wanted: the predicates of each login, the newest first.
        chain_ids: the networks.
        at_once: how many a login may have at once.
        skip_fresh: leave out what is fresh.

    Raises:
        CacheUnavailableError: what is fresh cannot be known, and could not be kept either.
    """
    first = dict.fromkeys(address for some in wanted for address in some[:at_once])
    rest = [address for some in wanted for address in some[at_once:] if address not in first]
    addresses = tuple(dict.fromkeys([*first, *rest]))
    plans = []
    for chain_id in chain_ids:
        left = await cache.not_fresh(chain_id, addresses) if skip_fresh else addresses
        plans.append(
            WarmUpPlan(
                chain_id,
                now=tuple(a for a in left if a in first),
                later=tuple(a for a in left if a not in first),
            )
        )
    return plans


async def warm(
    reader: BalanceReader,
    cache: BalanceCache,
    addresses: Sequence[Address],
    *,
    lane: Lane,
    skip_fresh: bool,
) -> RefillReport:
    """Fetch what is not fresh yet. What somebody else is fetching counts as done."""
    chain_id = reader.network.chain_id
    wanted = await cache.not_fresh(chain_id, addresses) if skip_fresh else tuple(addresses)
    if not wanted:
        return RefillReport(already=tuple(addresses))
    report = sorted_out(await reader.refill(wanted, lane=lane))
    skipped = tuple(a for a in addresses if a not in set(wanted))
    return RefillReport(
        report.done, skipped + report.already, report.remaining, report.given_up, report.reason
    )


async def invalidate(
    cache: BalanceCache,
    addresses: Sequence[Address],
    *,
    chain_id: ChainId | None,
    block_height: BlockHeight | None,
) -> None:
    """Declare the stored balances wrong: afterwards no read returns them as fresh.

    Raises:
        CacheUnavailableError: nothing is known to be invalidated; try again.
        InvalidValueError: a block height without a chain id.
    """
    if chain_id is None and block_height is not None:
        raise InvalidValueError("a block_height needs its chain_id")
    await cache.invalidate(addresses, chain_id, block_height)


async def refill_invalidated(
    reader: BalanceReader,
    cache: BalanceCache,
    addresses: Sequence[Address],
    *,
    block_height: BlockHeight,
    companions: Sequence[Address] = (),
) -> RefillReport:
    """Fetch invalidated predicates at `block_height` or later, until each is fresh again.

    A predicate that a reader is fetching meanwhile is looked at again when that fetch has
    ended: its leader may have died. What is still not fresh is in `remaining`. The companions
    ride in the first request; what becomes of them is not waited for and not reported.
    """
    chain_id = reader.network.chain_id
    done: tuple[Address, ...] = ()
    given_up: tuple[Address, ...] = ()
    wanted = await cache.not_fresh(chain_id, addresses)
    already = tuple(a for a in addresses if a not in set(wanted))
    report = RefillReport()
    for _ in range(_ROUNDS):
        if not wanted:
            break
        told = await reader.refill(
            [*wanted, *companions], lane=Lane.INVALIDATION, required_height=block_height
        )
        companions = ()
        outcomes = {a: outcome for a, outcome in told.items() if a in set(wanted)}
        report = sorted_out(outcomes)
        done, given_up = done + report.done, given_up + report.given_up
        wanted = report.remaining
        if report.already:
            await cache.wait_published(chain_id, report.already, _longest_wait(outcomes))
            wanted += await cache.not_fresh(chain_id, report.already)
            already += tuple(a for a in report.already if a not in set(wanted))
        elif wanted:
            break  # the node fails: the caller waits before the next try
    reason = report.reason or "somebody else is still fetching"
    return RefillReport(done, already, wanted, given_up, reason)


def sorted_out(outcomes: Mapping[Address, RefillOutcome]) -> RefillReport:
    """Return what became of a refill, by kind."""
    failed = {a: o for a, o in outcomes.items() if isinstance(o, RefillFailed)}
    given_up = tuple(a for a, o in failed.items() if isinstance(o.error, PermanentProviderError))
    reasons = [str(outcome.error) for outcome in failed.values()]
    return RefillReport(
        done=tuple(a for a, o in outcomes.items() if isinstance(o, Refilled)),
        already=tuple(a for a, o in outcomes.items() if isinstance(o, Busy)),
        remaining=tuple(a for a in failed if a not in set(given_up)),
        given_up=given_up,
        reason=reasons[-1] if reasons else "",
    )


def _longest_wait(outcomes: Mapping[Address, RefillOutcome]) -> float:
    waits = [outcome.wait_ms for outcome in outcomes.values() if isinstance(outcome, Busy)]
    return max(waits, default=0) / 1000
