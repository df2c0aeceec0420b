"""The answers' shapes: Bako's fields as Bako computes them, and ours beside them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.money import to_hex
from domain.ports import Served
from domain.values import Balance, Missing, Stale

_HEX = r"^0x[0-9a-f]+$"


class Answer(BaseModel):
    """Python names inside, Bako's names outside."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)


class AssetAmount(Answer):
    """One asset's amount: hex, in base units."""

    asset_id: str = Field(alias="assetId")
    amount: str = Field(pattern=_HEX)


class Freshness(Answer):
    """How far an answer can be trusted.

    ``stale`` balances are the last known ones and may be wrong, for the reason given;
    ``missing`` means that nothing is known, which is not the same as an empty vault. A moment
    instead of an age: the same answer stays the same bytes until something changes.
    """

    state: Literal["fresh", "stale", "missing"]
    reason: str | None = Field(description="Why it is not fresh.")
    block_height: int | None = Field(
        alias="blockHeight", description="The balances are true at this block or later."
    )
    as_of: str | None = Field(alias="asOf", description="When the node told them: UTC, ISO 8601.")
    source: Literal["cache", "node", "database"]
    unmet: Literal["pending", "refused"] | None = Field(
        description="It is not what min_height or max_age demand: it is being fetched, or the "
        "node has it not."
    )


class Worth(Answer):
    """Dollars as en-US text; null: nobody knows, because an asset among them has no price."""

    reserved: str | None
    total: str | None
    current: str | None


class ReservedCoinsAnswer(Answer):
    """What a vault holds, with what pending transactions will spend of it."""

    reserved_coins_usd: str = Field(alias="reservedCoinsUSD")
    total_balance_usd: str = Field(alias="totalBalanceUSD")
    current_balance_usd: str = Field(alias="currentBalanceUSD")
    current_balance: list[AssetAmount] = Field(alias="currentBalance")
    total_balance: list[AssetAmount] = Field(alias="totalBalance")
    reserved_coins: list[AssetAmount] = Field(alias="reservedCoins")
    nfts: list[AssetAmount]
    worth: Worth = Field(description="What is known of the figures in dollars; never a guess.")
    freshness: Freshness
    partial: bool = Field(description="Something that belongs to the figures is not known.")
    unpriced_assets: list[str] = Field(
        alias="unpricedAssets", description="Held, but of unknown worth: counted as 0 above."
    )
    quotes_as_of: str | None = Field(
        alias="quotesAsOf", description="When the prices were fetched; null: nobody knows."
    )


class AllocationRow(Answer):
    """An asset's part of the money; no asset id: all others together."""

    asset_id: str | None = Field(alias="assetId")
    amount_in_usd: float = Field(alias="amountInUSD")
    amount: str = Field(pattern=_HEX)
    percentage: float


class AllocationPredicate(Answer):
    """A vault's part of the money."""

    id: str
    name: str
    address: str
    members: int
    min_signers: int = Field(alias="minSigners")
    amount_in_usd: float | None = Field(
        alias="amountInUSD", description="null: nothing is known about this vault."
    )
    worth_in_usd: float | None = Field(
        alias="worthInUSD",
        description="The same; null also when an asset, or what is reserved, is of unknown worth.",
    )
    freshness: Freshness


class AllocationAnswer(Answer):
    """How money is spread over assets and vaults.

    The totals are over all vaults, the list may be shorter: what is not fresh among those that it
    does not show is in the counts.
    """

    data: list[AllocationRow]
    total_amount_in_usd: float = Field(alias="totalAmountInUSD")
    predicates: list[AllocationPredicate]
    total_worth_in_usd: float | None = Field(
        alias="totalWorthInUSD",
        description="The total; null when anything that adds to it is unknown.",
    )
    partial: bool = Field(description="A vault or a reservation is not known: totals lack it.")
    missing_vaults: int = Field(
        alias="missingVaults", description="Nothing is known about so many."
    )
    stale_vaults: int = Field(
        alias="staleVaults", description="Of so many the last known balances are in the totals."
    )
    unpriced_assets: list[str] = Field(
        alias="unpricedAssets", description="Held, but of unknown worth: counted as 0 above."
    )
    quotes_as_of: str | None = Field(
        alias="quotesAsOf", description="When the prices were fetched; null: nobody knows."
    )


def asset_amounts(balances: tuple[Balance, ...]) -> list[AssetAmount]:
    """Return balances as Bako writes them."""
    return [AssetAmount(asset_id=b.asset_id, amount=to_hex(b.amount)) for b in balances]


def moment(milliseconds: int | None) -> str | None:
    """Return a moment as JavaScript writes it: ISO 8601, UTC, milliseconds."""
    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a foreign writer's timestamp may be anything
        return None
    return f"{text}.{rest:03d}Z"


def freshness_of(served: Served) -> Freshness:
    """Return how far what was served can be trusted."""
    answer = served.answer
    unmet = None if served.unmet is None else served.unmet.value
    if isinstance(answer, Missing):
        return Freshness(
            state="missing",
            reason="unknown",
            block_height=None,
            as_of=None,
            source=served.source.value,
            unmet=unmet,
        )
    return Freshness(
        state="stale" if isinstance(answer, Stale) else "fresh",
        reason=answer.reason.value if isinstance(answer, Stale) else None,
        # 0 is how a snapshot says that the node gave no evidence of its height.
        block_height=answer.stored.snapshot.height or None,
        as_of=moment(answer.stored.timestamp_ms),
        source=served.source.value,
        unmet=unmet,
    )
