"""What a request handler is given: the parts of the process and who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from api.internal.guard import Guard
from api.prices import Prices
from api.sessions import Authentication, Caller
from domain.ports import TaskPublisher
from runtime.assembly import Runtime


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of this process; the application has one from its start to its end.

    Attributes:
        runtime: cache, readers, registry.
        authentication: who is signed in.
        prices: what assets are worth.
        guard: lets service callers in.
        publisher: takes tasks; None where this process can hand none out.
    """

    runtime: Runtime
    authentication: Authentication
    prices: Prices
    guard: Guard
    publisher: TaskPublisher | None


def parts_of(request: Request) -> Parts:
    """Return the parts that the application was started with."""
    parts: Parts = request.app.state.parts
    return parts


PartsDependency = Annotated[Parts, Depends(parts_of)]


async def caller_of(
    parts: PartsDependency,
    authorization: Annotated[str | None, Header(description="The session's token.")] = None,
    signeraddress: Annotated[str | None, Header(description="The user's address.")] = None,
) -> Caller:
    """Return who is signed in."""
    return await parts.authentication.caller(authorization, signeraddress)


CallerDependency = Annotated[Caller, Depends(caller_of)]
