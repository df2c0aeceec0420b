"""What an answer is made of: a caller's vaults, on one network or several, with their prices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from api.context import Parts, ReadQuery
from api.pricing import Pricing
from api.registered import AnyCaller, Registered
from api.sessions import Caller
from api.vaults import Vault, read_vaults
from domain.networks import Network
from domain.ports import Unmet
from domain.values import ChainId, Missing
from registry.reserved import comparable_url


class Find(Protocol):
    """Returns whose predicates there are; anew: by asking the database now."""

    async def __call__(self, *, anew: bool) -> Registered:
        """Return them."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """Vaults of one network, as they were read together."""

    network: Network
    vaults: Sequence[Vault]
    pricing: Pricing

    def came_after(self, registered: Registered) -> bool:
        """Tell whether a vault was published after the database was asked."""
        answers = (vault.served.answer for vault in self.vaults)
        return any(
            registered.is_older_than(answer.age_ms)
            for answer in answers
            if not isinstance(answer, Missing)
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """The vaults of a caller, and what the registry told of them.

    Attributes:
        views: the vaults, by network.
        registered: what the registry told.
        one_moment: the registry was asked after everything that is shown was published. It is
            judged when the vaults have been read: their ages are of that moment.
    """

    views: Sequence[View]
    registered: Registered
    one_moment: bool

    @classmethod
    def now(cls, views: Sequence[View], registered: Registered) -> Self:
        """Return what has just been read."""
        return cls(views, registered, not any(view.came_after(registered) for view in views))


async def look(
    parts: Parts, caller: AnyCaller, chain_ids: Sequence[ChainId], query: ReadQuery, find: Find
) -> Seen:
    """Return the vaults that `find` names, on each of the networks.

    What is remembered of the registry is not shown beside balances that came later: then the
    database is asked again.

    Raises:
        UnknownNetworkError: a chain is not on the allow-list.
    """
    for chain_id in chain_ids:
        parts.runtime.settings.network(chain_id)
    registered = await find(anew=False)
    seen = Seen.now(await _views(parts, caller, chain_ids, query, registered), registered)
    if registered.remembered and not seen.one_moment:
        known = [r.address for r in registered.records]
        registered = await find(anew=True)
        if known == [r.address for r in registered.records]:  # the balances stand; no second read
            told = [_told_anew(view, registered, caller) for view in seen.views]
            return Seen.now(told, registered)
        seen = Seen.now(await _views(parts, caller, chain_ids, query, registered), registered)
    return seen


def _told_anew(view: View, registered: Registered, caller: AnyCaller) -> View:
    urls = {comparable_url(url) for url in _network_urls(caller, view.network)}
    vaults = [
        Vault(record, vault.served, record.reservation(urls))
        for record, vault in zip(registered.records, view.vaults, strict=True)
    ]
    return View(view.network, vaults, view.pricing)


async def _views(
    parts: Parts,
    caller: AnyCaller,
    chain_ids: Sequence[ChainId],
    query: ReadQuery,
    registered: Registered,
) -> list[View]:
    return list(
        await asyncio.gather(
            *(_view(parts, caller, chain_id, query, registered) for chain_id in chain_ids)
        )
    )


async def _view(
    parts: Parts, caller: AnyCaller, chain_id: ChainId, query: ReadQuery, registered: Registered
) -> View:
    runtime = parts.runtime
    reader = runtime.reader(chain_id)
    wait = runtime.settings.read_wait_seconds if query.wait is None else query.wait
    vaults = await read_vaults(
        registered.records, _network_urls(caller, reader.network), reader, wait, query.demand
    )
    return View(reader.network, vaults, await parts.prices.of_chain(chain_id))


def _network_urls(caller: AnyCaller, network: Network) -> Sequence[str]:
    """Return what a pending transaction must say to be on a network, as this caller sees it.

    Bako compares with the URL of the session. Who has none there means the configured ones.
    """
    if isinstance(caller, Caller) and caller.network_url and caller.chain_id == network.chain_id:
        return [caller.network_url]
    return network.urls


def unmet(views: Sequence[View]) -> Unmet | None:
    """Return why the views are not what was demanded; None: they are."""
    found = {vault.served.unmet for view in views for vault in view.vaults}
    if Unmet.REFUSED in found:
        return Unmet.REFUSED
    return Unmet.PENDING if Unmet.PENDING in found else None
