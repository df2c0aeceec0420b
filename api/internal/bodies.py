"""What service callers send, and what they get: Bako's shapes, strict at the door."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from domain.values import MAX_BLOCK_HEIGHT

MOST_ADDRESSES = 1_000
_MOST_OPERATIONS = 1_000

ChainIdField = Annotated[int, Field(ge=0, lt=2**64, strict=True)]
HeightField = Annotated[int, Field(ge=0, le=MAX_BLOCK_HEIGHT, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A request's JSON object; a misspelt field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid")


class InvalidateBody(Body):
    """Which predicates are wrong: exactly one way of naming them."""

    predicate_address: Text | None = Field(
        default=None,
        validation_alias=AliasChoices("predicateAddress", "predicate_address", "address"),
    )
    addresses: list[Text] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_ADDRESSES,
        validation_alias=AliasChoices("addresses", "predicateAddresses"),
    )
    user_id: Text | None = Field(default=None, alias="userId")
    workspace_id: Text | None = Field(default=None, alias="workspaceId")
    all: bool = Field(default=False, strict=True)
    chain_id: ChainIdField | None = Field(default=None, alias="chainId")
    block_height: HeightField | None = Field(default=None, alias="blockHeight")
    transaction_id: Text | None = Field(default=None, alias="transactionId")


class ClearBody(Body):
    """What to forget, fresh and last known: one predicate, or everything."""

    predicate_address: Text | None = Field(
        default=None,
        validation_alias=AliasChoices("predicateAddress", "predicate_address", "address"),
    )
    all: bool = Field(default=False, strict=True)
    chain_id: ChainIdField | None = Field(default=None, alias="chainId")


class WarmUpBody(Body):
    """Whose predicates to warm, and where: a chain id, or the address of a configured network."""

    user_id: Text = Field(alias="userId")
    network_url: str | None = Field(default=None, alias="networkUrl", max_length=2_000)
    chain_id: ChainIdField | None = Field(default=None, alias="chainId")


class LooseBody(BaseModel):
    """An object of another service, of which we read a part."""

    model_config = ConfigDict(extra="ignore")


class Party(LooseBody):
    """One side of an operation."""

    address: str | None = Field(default=None, max_length=200)


class Operation(LooseBody):
    """One operation of a transaction's summary."""

    sender: Party | None = Field(default=None, alias="from")
    receiver: Party | None = Field(default=None, alias="to")


class Summary(LooseBody):
    """What the SDK makes of a transaction."""

    operations: list[Operation] = Field(default=[], max_length=_MOST_OPERATIONS)


class EventNetwork(LooseBody):
    """Where a transaction happened; its URL is never called."""

    chain_id: ChainIdField | None = Field(default=None, alias="chainId")


class EventPredicate(LooseBody):
    """The vault of a transaction."""

    predicate_address: Text | None = Field(default=None, alias="predicateAddress")


class TransactionEvent(LooseBody):
    """A transaction as an indexer or Bako's API sends it; what we do not know is ignored."""

    transaction_id: Text | None = Field(
        default=None, validation_alias=AliasChoices("transactionId", "hash", "id")
    )
    chain_id: ChainIdField | None = Field(default=None, alias="chainId")
    network: EventNetwork | None = None
    block_height: HeightField | None = Field(default=None, alias="blockHeight")
    predicate_address: Text | None = Field(default=None, alias="predicateAddress")
    predicate: EventPredicate | None = None
    addresses: list[Text] = Field(default=[], max_length=MOST_ADDRESSES)
    operations: list[Operation] = Field(default=[], max_length=_MOST_OPERATIONS)
    summary: Summary | None = None

    def where(self) -> int | None:
        """Return the chain id, wherever in the object it stands."""
        if self.chain_id is not None:
            return self.chain_id
        return None if self.network is None else self.network.chain_id

    def named(self) -> Iterator[str]:
        """Yield the predicates that the sender names himself."""
        if self.predicate_address is not None:
            yield self.predicate_address
        if self.predicate is not None and self.predicate.predicate_address is not None:
            yield self.predicate.predicate_address
        yield from self.addresses

    def touched(self) -> Iterator[str]:
        """Yield the addresses on both sides of every operation: vaults, wallets, contracts."""
        from_summary = [] if self.summary is None else self.summary.operations
        for operation in (*self.operations, *from_summary):
            for party in (operation.sender, operation.receiver):
                if party is not None and party.address:
                    yield party.address


def milliseconds() -> int:
    """Return the time as Bako's answers carry it."""
    return int(time.time() * 1000)


class Done(BaseModel):
    """Bako's envelope of a success."""

    success: bool = True
    data: dict[str, Any]
    timestamp: int = Field(default_factory=milliseconds)


class Message(BaseModel):
    """Bako's envelope of a success without data."""

    success: bool = True
    message: str
    timestamp: int = Field(default_factory=milliseconds)
