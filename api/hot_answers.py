"""Answers that were sent lately, and what must still be so for them to be sent again.

An answer is put together by its route, once. While nothing that it was made of has changed, its
bytes are sent again: one short question to Redis tells (`cache.versions`), and brings the session
along. Whatever is in doubt (a session that ends, balances that are due, an old answer of the
registry) is left to the route. So nothing here decides what is right; it only knows what is
unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fastapi import Request, Response
from starlette.types import Message, Scope

from api.context import ReadQuery
from api.prices import Prices
from api.registered import AnyCaller
from api.sessions import Caller
from api.views import Seen
from cache.versions import Question
from domain.ports import BalanceReader, Served, Source
from domain.values import Address, Fresh
from runtime.assembly import Runtime

Key = tuple[bytes, bytes, bytes, bytes]
"""Path, query, token and signer: what alone decides an answer that the hot path may give."""

Headers = Sequence[tuple[bytes, bytes]]

_MOST_ANSWERS = 4_096
_MOST_BYTES = 64 * 1024 * 1024
_LARGEST_BYTES = 1024 * 1024
_TELL_SECONDS = 1.0
_RENEWAL_SECONDS = 0.1
"""Longer than a route takes that has not to wait for a node."""


@dataclass(eq=False, slots=True)
class Kept:
    """An answer and its conditions.

    Attributes:
        body: its bytes; None: only its tag is known.
        tag: its entity tag.
        headers: all but its age.
        question: whether its balances and its session are unchanged.
        quotes_version: the prices that it was made of.
        until: when it must be answered anew whatever is unchanged, by the monotonic clock: the
            registry's word is old, the session over, a balance due or too old for its caller.
        oldest_ms: when the oldest of its balances was published.
        served: what its readers are given, by network.
    """

    body: bytes | None
    tag: bytes
    headers: Headers
    question: Question
    quotes_version: str
    until: float
    oldest_ms: int
    served: Sequence[tuple[BalanceReader, dict[Address, Served]]] = field(repr=False)
    lines: tuple[int, Headers, Headers] | None = field(default=None, repr=False)

    def start(self, age_seconds: int, *, modified: bool) -> Message:
        """Return the first message, of a 200 or a 304."""
        if self.lines is None or self.lines[0] != age_seconds:
            unmodified = [*self.headers, (b"age", b"%d" % age_seconds)]
            length = (b"content-length", b"%d" % len(self.body or b""))
            whole = [*unmodified, length, (b"content-type", b"application/json")]
            self.lines = (age_seconds, whole, unmodified)
        status, headers = (200, self.lines[1]) if modified else (304, self.lines[2])
        # A new list: what stands before us adds headers of its own.
        return {"type": "http.response.start", "status": status, "headers": [*headers]}


class HotAnswers:
    """The answers of one process, up to a number and a size; the first ones are forgotten first."""

    def __init__(self, runtime: Runtime, prices: Prices) -> None:
        self._runtime = runtime
        self._versions = runtime.cache.versions
        self._clock = runtime.cache.clock
        self._prices = prices
        self._registry_seconds = runtime.settings.registry_cache_seconds
        self._kept: dict[Key, Kept] = {}
        self._bytes = 0
        self._sent: Counter[Kept] = Counter()
        self._renewing: dict[Key, asyncio.Event] = {}

    async def find(self, key: Key) -> Kept | None:
        """Return an answer that holds at this moment; None: the route must answer."""
        kept = self._kept.get(key)
        if kept is None or self._versions is None:
            return None
        if time.monotonic() >= kept.until or self._clock.must_ask():
            return None
        quotes_version = self._prices.version_now() or await self._prices.version()
        if quotes_version != kept.quotes_version:
            return None
        if not (self._versions.is_held(kept.question) or await self._versions.holds(kept.question)):
            return None
        if not self._sent:
            asyncio.get_running_loop().call_later(_TELL_SECONDS, self._tell)
        self._sent[kept] += 1
        return kept

    def body_of(self, request: Request, tag: str) -> bytes | None:
        """Return the bytes of an answer to this request that had this tag, if they are kept."""
        key, _ = key_of(request.scope)
        kept = None if key is None else self._kept.get(key)
        return kept.body if kept is not None and kept.tag == tag.encode() else None

    async def renewal(self, key: Key) -> bool:
        """Wait a moment for whoever has the route answer this anew; False: nobody does.

        An answer that is over is put together once, not by all who ask for it at that moment. One
        that may not be kept (its balances were published a moment ago) is put together by each.
        """
        if key not in self._kept or key not in self._renewing:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RENEWAL_SECONDS):
                await self._renewing[key].wait()
        return True

    @contextlib.contextmanager
    def renewing(self, key: Key) -> Iterator[None]:
        """Let others wait while the route answers."""
        if key in self._renewing or key not in self._kept:
            yield
            return
        over = self._renewing[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._renewing[key]
            over.set()

    def age_seconds(self, kept: Kept) -> int:
        """Return how old the oldest balances of an answer are."""
        return max(0, self._clock.now_ms() - kept.oldest_ms) // 1000

    def keep(
        self,
        request: Request,
        response: Response,
        caller: AnyCaller,
        seen: Seen,
        query: ReadQuery,
    ) -> None:
        """Keep an answer that its route has just given, if it may be given again."""
        key, _ = key_of(request.scope)
        if key is None or self._versions is None or "etag" not in response.headers:
            return
        self._versions.forget(
            vault.record.address
            for view in seen.views
            for vault in view.vaults
            if vault.record.address is not None
        )
        before = self._kept.pop(key, None)
        if before is not None:
            self._drop(before)
        kept = self._conditions(response, caller, seen, query)
        if kept is None:
            return
        if kept.body is None and before is not None and before.tag == kept.tag:
            kept.body = before.body
        self._kept[key] = kept
        self._bytes += len(kept.body or b"")
        self._versions.remember(kept.question)
        while len(self._kept) > _MOST_ANSWERS or self._bytes > _MOST_BYTES:
            self._drop(self._kept.pop(next(iter(self._kept))))

    def _drop(self, kept: Kept) -> None:
        self._bytes -= len(kept.body or b"")
        if self._versions is not None:
            self._versions.drop(kept.question)

    def _conditions(
        self, response: Response, caller: AnyCaller, seen: Seen, query: ReadQuery
    ) -> Kept | None:
        """Return under what conditions an answer may be sent again; None: under none."""
        registered, versions = seen.registered, self._versions
        if not isinstance(caller, Caller) or caller.vouched is None or versions is None:
            return None
        if registered.version is None or not seen.one_moment:
            return None
        vaults, untils, served = [], [], []
        for view in seen.views:
            here: dict[Address, Served] = {}
            for vault in view.vaults:
                address, answer = vault.record.address, vault.served.answer
                if address is None or vault.served.source is not Source.CACHE:
                    return None
                if not isinstance(answer, Fresh) or not answer.due_in_ms:
                    return None
                stored = answer.stored
                vaults.append((view.network.chain_id, address, stored.timestamp_ms, stored.version))
                untils.append(stored.timestamp_ms + answer.age_ms + answer.due_in_ms)
                here[address] = vault.served
            served.append((self._runtime.reader(view.network.chain_id), here))
        if not vaults or len(response.body) > _LARGEST_BYTES:
            return None
        oldest_ms = min(timestamp_ms for _, _, timestamp_ms, _ in vaults)
        if query.max_age is not None:
            untils.append(oldest_ms + query.max_age * 1000)
        vouched, now = caller.vouched, time.monotonic()
        return Kept(
            body=bytes(response.body) or None,
            tag=response.headers["etag"].encode(),
            headers=_lasting(response),
            question=versions.question(vouched.token, vouched.raw, registered.version, vaults),
            quotes_version=seen.views[0].pricing.version,
            until=min(
                registered.asked_at + self._registry_seconds,
                now + vouched.ends_at - time.time(),
                now + (min(untils) - self._clock.now_ms()) / 1000,
            ),
            oldest_ms=oldest_ms,
            served=served,
        )

    def _tell(self) -> None:
        """Count what was sent, once a second: hits, ages, and who stays hot."""
        sent, self._sent = self._sent, Counter()
        now_ms = self._clock.now_ms()
        for kept, times in sent.items():
            for reader, served in kept.served:
                reader.served_again(_aged(served, now_ms), times)
                self._runtime.cache.counters.count("hits", len(served) * times)


def key_of(scope: Scope) -> tuple[Key | None, bytes]:
    """Return what decides an answer, and the tags that its caller has.

    None: such a request is not for the hot path.
    """
    token = signer = None
    tags = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            if token is not None:
                return None, b""
            token = value
        elif name == b"signeraddress":
            if signer is not None:
                return None, b""
            signer = value
        elif name == b"if-none-match":
            tags = tags + b"," + value if tags else value
        elif name in _BODY:
            return None, b""
    if token is None or signer is None:
        return None, b""
    return (scope["path"].encode(), scope["query_string"], token, signer), tags


_BODY = (b"content-length", b"transfer-encoding")
_PASSING = (b"age", b"content-length", b"content-type")


def _lasting(response: Response) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in response.raw_headers if name not in _PASSING]


def _aged(served: dict[Address, Served], now_ms: int) -> dict[Address, Served]:
    """Return the answers with the age that they have now."""
    aged = {}
    for address, one in served.items():
        answer = one.answer
        if isinstance(answer, Fresh):
            age_ms = max(0, now_ms - answer.stored.timestamp_ms)
            aged[address] = replace(one, answer=replace(answer, age_ms=age_ms))
    return aged
