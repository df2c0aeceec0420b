"""The two answers about vaults, put together from registry, cache and prices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from api.allocation import Allocation, allocate
from api.holdings import Holdings, split_holdings
from api.money import dollar_text, to_hex
from api.pricing import Pricing
from api.problems import unavailable
from api.representation import (
    AllocationAnswer,
    AllocationPredicate,
    AllocationRow,
    ReservedCoinsAnswer,
    Worth,
    asset_amounts,
    freshness_of,
    moment,
)
from domain.ports import NO_DEMAND, BalanceReader, Demand, Served, Source
from domain.values import Address, Balance, Missing, Stale
from registry.records import PredicateRecord, Reservation
from registry.reserved import comparable_url

_NOTHING_KNOWN = "No balances are known yet and no node has answered in time."


@dataclass(frozen=True, slots=True)
class Vault:
    """A predicate with all that an answer about it needs."""

    record: PredicateRecord
    served: Served
    reservation: Reservation

    @property
    def balances(self) -> Sequence[Balance] | None:
        """What it holds; None when nobody knows, which is never the same as nothing."""
        answer = self.served.answer
        return None if isinstance(answer, Missing) else answer.stored.snapshot.balances


async def read_vaults(
    records: Sequence[PredicateRecord],
    network_urls: Collection[str],
    reader: BalanceReader,
    wait_seconds: float,
    demand: Demand = NO_DEMAND,
) -> list[Vault]:
    """Read the balances of predicates, all in one go, in the order given.

    Args:
        records: the predicates.
        network_urls: what pending transactions must say to be on this network.
        reader: the balances of this network.
        wait_seconds: how long to wait for what is not there yet.
        demand: what each answer must meet.
    """
    addresses = list(dict.fromkeys(r.address for r in records if r.address is not None))
    served = (
        await reader.read_many(addresses, wait_seconds=wait_seconds, demand=demand)
        if addresses
        else {}
    )
    urls = {comparable_url(url) for url in network_urls}
    return [
        Vault(record, _served(served, record.address), record.reservation(urls))
        for record in records
    ]


def reserved_coins_answer(vault: Vault, pricing: Pricing) -> ReservedCoinsAnswer:
    """Return the answer about one vault.

    Raises:
        ProblemError: 503, nothing is known about it.
    """
    if vault.balances is None:
        raise unavailable(_NOTHING_KNOWN)
    holdings = split_holdings(vault.balances, vault.reservation.coins, pricing)
    return ReservedCoinsAnswer(
        reserved_coins_usd=dollar_text(pricing.total(holdings.reserved)),
        total_balance_usd=dollar_text(pricing.total(holdings.total)),
        current_balance_usd=dollar_text(pricing.total(holdings.current)),
        current_balance=asset_amounts(holdings.current),
        total_balance=asset_amounts(holdings.total),
        reserved_coins=asset_amounts(holdings.reserved),
        nfts=asset_amounts(holdings.nfts),
        worth=_worth(holdings, vault, pricing),
        freshness=freshness_of(vault.served),
        partial=vault.reservation.unreadable > 0,
        unpriced_assets=pricing.unpriced((*holdings.total, *holdings.reserved)),
        quotes_as_of=moment(pricing.as_of_ms),
    )


def allocation_answer(vaults: Sequence[Vault], pricing: Pricing, limit: int) -> AllocationAnswer:
    """Return the answer about many vaults; the total is over all, the list is cut to `limit`.

    Raises:
        ProblemError: 503, there are vaults and nothing is known about any of them.
    """
    holdings = [_holdings(vault, pricing) for vault in vaults]
    known = [h for h in holdings if h is not None]
    if vaults and not known:
        raise unavailable(_NOTHING_KNOWN)
    spendable = [h.current if h is not None else () for h in holdings]
    allocation = allocate(spendable, pricing)
    everything = tuple(balance for balances in spendable for balance in balances)
    partial = len(known) < len(vaults) or any(v.reservation.unreadable for v in vaults)
    unpriced = pricing.unpriced(everything)
    return AllocationAnswer(
        data=allocation_rows(allocation),
        total_amount_in_usd=allocation.total,
        predicates=_ranked(vaults, allocation, spendable, pricing)[:limit],
        total_worth_in_usd=None if partial or unpriced else allocation.total,
        partial=partial,
        missing_vaults=len(vaults) - len(known),
        stale_vaults=sum(isinstance(vault.served.answer, Stale) for vault in vaults),
        unpriced_assets=unpriced,
        quotes_as_of=moment(pricing.as_of_ms),
    )


def _served(served: Mapping[Address, Served], address: Address | None) -> Served:
    nothing = Served(Missing(), Source.CACHE)
    return nothing if address is None else served.get(address, nothing)


def _holdings(vault: Vault, pricing: Pricing) -> Holdings | None:
    if vault.balances is None:
        return None
    return split_holdings(vault.balances, vault.reservation.coins, pricing)


def _worth(holdings: Holdings, vault: Vault, pricing: Pricing) -> Worth:
    """Return the dollar figures that are known; an unreadable draft hides what is reserved."""

    def known(balances: Sequence[Balance]) -> str | None:
        unpriced = pricing.unpriced(balances)
        return None if unpriced else dollar_text(pricing.total(balances))

    drafts_known = vault.reservation.unreadable == 0
    return Worth(
        reserved=known(holdings.reserved) if drafts_known else None,
        total=known(holdings.total),
        current=known(holdings.current) if drafts_known else None,
    )


def allocation_rows(allocation: Allocation) -> list[AllocationRow]:
    """Return the rows as Bako writes them."""
    return [
        AllocationRow(
            asset_id=share.asset_id,
            amount_in_usd=share.worth,
            amount=to_hex(share.amount),
            percentage=share.percentage,
        )
        for share in allocation.shares
    ]


def _ranked(
    vaults: Sequence[Vault],
    allocation: Allocation,
    spendable: Sequence[Sequence[Balance]],
    pricing: Pricing,
) -> list[AllocationPredicate]:
    """Sort by worth, the greatest first; what nobody knows comes last."""
    entries = [
        AllocationPredicate(
            id=vault.record.predicate_id,
            name=vault.record.name,
            address=vault.record.address or vault.record.stored_address,
            members=vault.record.members,
            min_signers=vault.record.minimum_signers,
            amount_in_usd=None if vault.balances is None else worth,
            worth_in_usd=worth if _is_known(vault, balances, pricing) else None,
            freshness=freshness_of(vault.served),
        )
        for vault, worth, balances in zip(vaults, allocation.by_vault, spendable, strict=True)
    ]
    return sorted(
        entries, key=lambda e: -1.0 if e.amount_in_usd is None else e.amount_in_usd, reverse=True
    )


def _is_known(vault: Vault, spendable: Sequence[Balance], pricing: Pricing) -> bool:
    """Tell whether balances, reservations and prices are all known."""
    if vault.balances is None or vault.reservation.unreadable:
        return False
    return not pricing.unpriced(spendable)
