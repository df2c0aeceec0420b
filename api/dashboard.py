"""Puts the dashboard together out of what was read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.allocation import allocate_each
from api.dashboard_representation import (
    DashboardAnswer,
    DashboardNetwork,
    DashboardTotals,
    DashboardVault,
)
from api.holdings import Holdings, split_holdings
from api.money import dollar_text
from api.pricing import Pricing
from api.representation import AllocationRow, Worth, asset_amounts, freshness_of, moment
from api.vaults import Vault, allocation_rows
from api.views import View
from domain.networks import Network
from domain.values import AssetId, Balance, Stale


@dataclass(frozen=True, slots=True)
class _Figure:
    """What balances add up to, and which of their assets have no known price."""

    dollars: float
    unpriced: Sequence[AssetId]

    @classmethod
    def of(cls, balances: Sequence[Balance], pricing: Pricing) -> _Figure:
        return cls(pricing.total(balances), pricing.unpriced(balances))

    @classmethod
    def sum(cls, figures: Iterable[_Figure]) -> _Figure:
        dollars, unpriced = 0.0, dict[AssetId, None]()
        for figure in figures:  # not sum(): it compensates, JavaScript does not
            dollars += figure.dollars
            unpriced |= dict.fromkeys(figure.unpriced)
        return cls(dollars, list(unpriced))

    def text(self) -> str:
        return dollar_text(self.dollars)

    def worth(self, *, is_known: bool) -> str | None:
        return self.text() if is_known and not self.unpriced else None


@dataclass(frozen=True, slots=True)
class _Figures:
    """The three figures of a card or of several, and what of them is known."""

    current: _Figure
    total: _Figure
    reserved: _Figure
    balances_known: bool
    drafts_known: bool

    @classmethod
    def sum(cls, several: Sequence[_Figures]) -> _Figures:
        return cls(
            current=_Figure.sum(one.current for one in several),
            total=_Figure.sum(one.total for one in several),
            reserved=_Figure.sum(one.reserved for one in several),
            balances_known=all(one.balances_known for one in several),
            drafts_known=all(one.drafts_known for one in several),
        )

    @property
    def partial(self) -> bool:
        return not (self.balances_known and self.drafts_known)

    @property
    def unpriced(self) -> list[AssetId]:
        return list(dict.fromkeys((*self.total.unpriced, *self.reserved.unpriced)))

    def worth(self) -> Worth:
        """Return what is known to the last asset; an unreadable draft hides what is reserved."""
        return Worth(
            reserved=self.reserved.worth(is_known=self.drafts_known),
            total=self.total.worth(is_known=self.balances_known),
            current=self.current.worth(is_known=not self.partial),
        )


@dataclass(frozen=True, slots=True)
class _Card:
    """A vault on one network, taken apart; of an unknown one the holdings are empty."""

    network: Network
    vault: Vault
    pricing: Pricing
    holdings: Holdings
    figures: _Figures

    @classmethod
    def of(cls, view: View, vault: Vault) -> _Card:
        pricing = view.pricing
        balances = vault.balances
        holdings = split_holdings(balances or (), vault.reservation.coins, pricing)
        figures = _Figures(
            current=_Figure.of(holdings.current, pricing),
            total=_Figure.of(holdings.total, pricing),
            reserved=_Figure.of(holdings.reserved, pricing),
            balances_known=balances is not None,
            drafts_known=vault.reservation.unreadable == 0,
        )
        return cls(view.network, vault, pricing, holdings, figures)


def dashboard_answer(views: Sequence[View]) -> DashboardAnswer:
    """Return the whole page. Sums go by ascending id, as Bako adds; cards by their last change."""
    cards = [_Card.of(view, vault) for view in views for vault in view.vaults]
    shown = sorted(cards, key=_last_change, reverse=True)
    totals = _totals(cards)
    return DashboardAnswer(
        vaults=[_shown(card) for card in shown],
        allocation=_rows(cards),
        totals=totals,
        networks=[
            DashboardNetwork(
                chain_id=view.network.chain_id,
                name=view.network.name,
                totals=_totals([card for card in cards if card.network is view.network]),
            )
            for view in views
        ],
        partial=totals.partial,
        quotes_as_of=moment(_oldest(view.pricing.as_of_ms for view in views)),
    )


def _last_change(card: _Card) -> datetime:
    return card.vault.record.updated_at or datetime.min  # noqa: DTZ901 - the table has no zones


def _shown(card: _Card) -> DashboardVault:
    record, holdings, figures = card.vault.record, card.holdings, card.figures
    known = figures.balances_known
    return DashboardVault(
        id=record.predicate_id,
        name=record.name,
        address=record.address or record.stored_address,
        chain_id=card.network.chain_id,
        members=record.members,
        min_signers=record.minimum_signers,
        current_balance=asset_amounts(holdings.current) if known else None,
        total_balance=asset_amounts(holdings.total) if known else None,
        reserved_coins=asset_amounts(holdings.reserved),
        nfts=asset_amounts(holdings.nfts) if known else None,
        current_balance_usd=figures.current.text() if known else None,
        total_balance_usd=figures.total.text() if known else None,
        reserved_coins_usd=figures.reserved.text(),
        worth=figures.worth(),
        allocation=_rows([card]),
        freshness=freshness_of(card.vault.served),
        partial=figures.partial,
        unpriced_assets=figures.unpriced,
    )


def _totals(cards: Sequence[_Card]) -> DashboardTotals:
    figures = _Figures.sum([card.figures for card in cards])
    return DashboardTotals(
        current_balance_usd=figures.current.text(),
        total_balance_usd=figures.total.text(),
        reserved_coins_usd=figures.reserved.text(),
        worth=figures.worth(),
        partial=figures.partial,
        vaults=len(cards),
        missing_vaults=sum(not card.figures.balances_known for card in cards),
        stale_vaults=sum(isinstance(card.vault.served.answer, Stale) for card in cards),
        unpriced_assets=figures.unpriced,
    )


def _rows(cards: Sequence[_Card]) -> list[AllocationRow]:
    spendable = [(card.holdings.current, card.pricing) for card in cards]
    return allocation_rows(allocate_each(spendable))


def _oldest(moments: Iterable[int | None]) -> int | None:
    known = [moment_ms for moment_ms in moments if moment_ms is not None]
    return min(known) if known else None
