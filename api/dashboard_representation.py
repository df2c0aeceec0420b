"""The dashboard's shape: what a home page and its vault cards show, in one answer."""

from __future__ import annotations

from pydantic import Field

from api.representation import AllocationRow, Answer, AssetAmount, Freshness, Worth


class DashboardVault(Answer):
    """One vault card. What nobody knows is null: a vault of unknown balances is no empty one."""

    id: str
    name: str
    address: str
    chain_id: int = Field(alias="chainId")
    members: int
    min_signers: int = Field(alias="minSigners")
    current_balance: list[AssetAmount] | None = Field(alias="currentBalance")
    total_balance: list[AssetAmount] | None = Field(alias="totalBalance")
    reserved_coins: list[AssetAmount] = Field(alias="reservedCoins")
    nfts: list[AssetAmount] | None
    current_balance_usd: str | None = Field(alias="currentBalanceUSD")
    total_balance_usd: str | None = Field(alias="totalBalanceUSD")
    reserved_coins_usd: str = Field(alias="reservedCoinsUSD")
    worth: Worth = Field(description="What is known of the figures in dollars; never a guess.")
    allocation: list[AllocationRow] = Field(description="How its current balance is spread.")
    freshness: Freshness
    partial: bool = Field(description="Something that belongs to the figures is not known.")
    unpriced_assets: list[str] = Field(alias="unpricedAssets")


class DashboardTotals(Answer):
    """Sums over vaults. A `partial` one is a lower bound of what they hold."""

    current_balance_usd: str = Field(alias="currentBalanceUSD")
    total_balance_usd: str = Field(alias="totalBalanceUSD")
    reserved_coins_usd: str = Field(alias="reservedCoinsUSD")
    worth: Worth = Field(description="The same; null when anything that adds to it is unknown.")
    partial: bool
    vaults: int
    missing_vaults: int = Field(alias="missingVaults")
    stale_vaults: int = Field(alias="staleVaults")
    unpriced_assets: list[str] = Field(alias="unpricedAssets")


class DashboardNetwork(Answer):
    """The sums of one network."""

    chain_id: int = Field(alias="chainId")
    name: str
    totals: DashboardTotals


class DashboardAnswer(Answer):
    """All vaults of a user, the one that changed last first, and what they add up to."""

    vaults: list[DashboardVault]
    allocation: list[AllocationRow] = Field(description="How everything current is spread.")
    totals: DashboardTotals
    networks: list[DashboardNetwork]
    partial: bool = Field(description="A vault or a reservation is not known: totals lack it.")
    quotes_as_of: str | None = Field(
        alias="quotesAsOf", description="When the prices were fetched; null: nobody knows."
    )
