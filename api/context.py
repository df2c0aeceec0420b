"""What a request handler is given: the parts of the process and who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ConfigDict, Field

from api.internal.guard import Guard
from api.ops.overview import Overview
from api.prices import Prices
from api.problems import ProblemError, unauthorized
from api.registered import RegisteredPredicates
from api.sessions import Authentication, Caller, ServiceCaller
from api.streams.open_streams import OpenStreams
from domain.ports import Demand, TaskPublisher
from domain.values import MAX_BLOCK_HEIGHT
from runtime.assembly import Runtime
from runtime.scrape import Door, Scraper

if TYPE_CHECKING:  # it keeps what is made with the parts below
    from api.hot_answers import HotAnswers

LONGEST_WAIT_SECONDS = 30.0
"""As long as a node may itself wait for a height before it answers."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of this process; the application has one from its start to its end.

    Attributes:
        runtime: cache, readers, registry.
        authentication: who is signed in.
        registered: whose predicates there are, remembered for a moment.
        prices: what assets are worth.
        guard: lets service callers in.
        hot: answers that may still hold.
        streams: the open streams of balances.
        publisher: takes tasks; None where this process can hand none out.
        door: lets in who may read metrics.
        scraper: collects them.
        overview: what the operator's page shows.
    """

    runtime: Runtime
    authentication: Authentication
    registered: RegisteredPredicates
    prices: Prices
    guard: Guard
    hot: HotAnswers
    streams: OpenStreams
    publisher: TaskPublisher | None
    door: Door
    scraper: Scraper
    overview: Overview


def parts_of(request: Request) -> Parts:
    """Return the parts that the application was started with."""
    parts: Parts = request.app.state.parts
    return parts


PartsDependency = Annotated[Parts, Depends(parts_of)]


class NoQuery(BaseModel):
    """No query parameter is known here; a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class ReadQuery(NoQuery):
    """What may stand in the query of every read path."""

    chain_id: int | None = Field(
        default=None,
        alias="chainId",
        ge=0,
        lt=2**64,
        description="For service callers: which network. A user's session decides it himself.",
    )
    user_id: str | None = Field(
        default=None,
        alias="userId",
        max_length=100,
        description="For service callers: whose vaults, on /user/… paths.",
    )
    min_height: int = Field(
        default=0,
        ge=0,
        le=MAX_BLOCK_HEIGHT,
        description="Balances that are true at this block or later.",
    )
    max_age: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Balances that were fetched at most so many seconds ago.",
    )
    wait: float | None = Field(
        default=None,
        ge=0,
        le=LONGEST_WAIT_SECONDS,
        allow_inf_nan=False,
        description="How many seconds to wait for what is not there yet.",
    )

    @property
    def demand(self) -> Demand:
        """What each answer must meet."""
        return Demand(self.min_height, None if self.max_age is None else self.max_age * 1000)


_USERS_HEADERS = ("authorization", "signeraddress")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about who sends it."""

    request: Request
    authorization: str | None
    signer_address: str | None

    async def caller(self, parts: Parts, query: ReadQuery) -> Caller | ServiceCaller:
        """Return who reads: a user by his session, or else a service by its key.

        Raises:
            ProblemError: 401, 403, 429, 503 nobody who may; 422 the query is not for him.
        """
        if any(len(self.request.headers.getlist(name)) > 1 for name in _USERS_HEADERS):
            # Whoever stands before us may have looked at the other one.
            raise unauthorized("A header with credentials is given more than once.")
        if self.authorization is None and "x-api-key" in self.request.headers:
            await parts.guard.admit(self.request)
            if query.chain_id is None:
                raise ProblemError(422, "Invalid request", "A service caller must give chainId.")
            return ServiceCaller(query.chain_id, query.user_id)
        caller = await parts.authentication.caller(self.authorization, self.signer_address)
        if query.chain_id is not None or query.user_id is not None:
            detail = "chainId and userId are for service callers."
            raise ProblemError(422, "Invalid request", detail)
        return caller


def credentials_of(
    request: Request,
    authorization: Annotated[str | None, Header(description="The session's token.")] = None,
    signeraddress: Annotated[str | None, Header(description="The user's address.")] = None,
    _: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))] = None,
) -> Credentials:
    """Collect what a request says about who sends it."""
    return Credentials(request, authorization, signeraddress)


CredentialsDependency = Annotated[Credentials, Depends(credentials_of)]
