"""The demo page, and the transactions that it makes on simulated nodes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.context import CredentialsDependency, NoQuery, PartsDependency, ReadQuery
from api.internal import actions
from api.internal.actions import Invalidation
from api.page_headers import PAGE_HEADERS
from api.problems import ProblemError, documented
from api.representation import Answer
from api.sessions import Caller
from domain.errors import PaymentError
from domain.networks import Network
from domain.values import Address, AssetId, BlockHeight

_HEADERS = {"Cache-Control": "no-cache", **PAGE_HEADERS}
_FILES = {
    "/demo": ("index.html", "text/html"),
    "/demo/style.css": ("style.css", "text/css"),
    "/demo/script.js": ("script.js", "text/javascript"),
}


class Paid(Protocol):
    """A payment that is in a block."""

    @property
    def transaction_id(self) -> str:
        """Its id."""
        ...

    @property
    def block_height(self) -> BlockHeight:
        """Its block."""
        ...

    @property
    def asset_id(self) -> AssetId:
        """What was paid with."""
        ...

    @property
    def amount(self) -> int:
        """How much, in base units."""
        ...


class Payer(Protocol):
    """Pays on simulated nodes."""

    async def pay(self, network: Network, sender: Address, receiver: Address) -> Paid:
        """Let one vault pay another; return when the payment is in a block.

        Raises:
            PaymentError: the node is not a simulated one, or refuses.
        """
        ...


class PaymentBody(BaseModel):
    """Who pays whom."""

    model_config = ConfigDict(extra="forbid")

    sender: UUID = Field(alias="from")
    receiver: UUID = Field(alias="to")


class PaymentAnswer(Answer):
    """The payment, and that its vaults were invalidated."""

    transaction_id: str = Field(alias="transactionId")
    block_height: int = Field(alias="blockHeight")
    asset_id: str = Field(alias="assetId")
    amount: str


def demo_router(payer: Payer) -> APIRouter:
    """Return the routes of the demo page."""
    router = APIRouter(tags=["demo"])
    for path, (name, media_type) in _FILES.items():
        router.add_api_route(path, _file(name, media_type), include_in_schema=False)

    @router.post("/demo/transaction", responses=documented(401, 403, 404, 409, 422, 503))
    async def transaction(
        body: PaymentBody,
        credentials: CredentialsDependency,
        parts: PartsDependency,
        _: Annotated[NoQuery, Query()],
    ) -> PaymentAnswer:
        """Let one of the user's vaults pay another, and announce it as an indexer would."""
        caller = await credentials.caller(parts, ReadQuery())
        if not isinstance(caller, Caller):
            raise ProblemError(403, "Forbidden", "Payments are made by users.")
        if body.sender == body.receiver:
            raise ProblemError(422, "Invalid request", "from and to are one vault.")
        network = parts.runtime.settings.network(caller.chain_id)
        pair = []
        for predicate_id in (body.sender, body.receiver):
            record = await parts.runtime.registry.predicate_of_user(
                str(predicate_id), caller.user_id, caller.user_address
            )
            if record.address is None:
                raise ProblemError(409, "Payment refused", "The vault's address is unreadable.")
            pair.append(record.address)
        try:
            paid = await payer.pay(network, *pair)
        except PaymentError as error:
            raise ProblemError(409, "Payment refused", str(error)) from error
        await actions.invalidate(
            parts, Invalidation(pair, network.chain_id, paid.block_height, paid.transaction_id)
        )
        return PaymentAnswer(
            transaction_id=paid.transaction_id,
            block_height=paid.block_height,
            asset_id=paid.asset_id,
            amount=hex(paid.amount),
        )

    return router


def _file(name: str, media_type: str) -> Callable[[], Response]:
    content = resources.files("api.demo").joinpath("page", name).read_bytes()

    def read() -> Response:
        return Response(content, headers=_HEADERS, media_type=media_type)

    return read
