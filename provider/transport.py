"""One node over HTTP: a JSON body in, a JSON document out, every failure typed.

The node's address may carry credentials. They go into a header and nowhere else: no error, log
line or repr that leaves this module shows them. (A token in the *path* is part of the address.)
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from domain.errors import (
    NodeOverloadedError,
    NodeUnreachableError,
    QueryRefusedError,
    QueryTooComplexError,
)
from domain.networks import without_credentials
from domain.spans import SpanKind, span_ended
from domain.trace import Trace, current_trace

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""More than 200 vaults of 1,000 assets; beyond it an answer is an attack or a mistake."""

_TRANSIENT_STATUS = frozenset({408, 425, 429})
_TOO_LARGE = 413
_OK = 200
_TALKATIVE = ("httpcore", "hpack", "h2")
"""Libraries whose debug lines hold headers, and with them credentials."""

_SERVER_ERRORS = 500
_MOST_DIGITS = 9

LONGEST_RETRY_AFTER_SECONDS = 30.0
"""Whoever asks for more is tried again after this, by one request."""


class GatewayRefusedError(QueryRefusedError):
    """A status that no balance query deserves: credentials, a wrong path, a gateway's rule."""


def _headers(trace: Trace | None) -> dict[str, str]:
    """Return the headers of one request: a node's log can name whose request it was."""
    headers = {"content-type": "application/json"}
    if trace is not None:
        headers["traceparent"] = trace.traceparent
    return headers


class NodeTransport:
    """A pool of kept-alive connections to one node."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        http2: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        _silence()
        self.public_url = without_credentials(url)
        self._url, auth = _split_credentials(url)
        self._host = urlsplit(self._url).netloc
        self._client = httpx.AsyncClient(
            auth=auth,
            verify=_tls_context(http2=http2),
            http2=http2,
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "user-agent": "balance-cache"},
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=30.0,
            ),
        )

    async def post(self, body: Mapping[str, Any], *, timeout_seconds: float) -> object:
        """Send a body and return the JSON document that came back.

        Raises:
            NodeUnreachableError: no connection, no answer in time, or one that broke off.
            NodeOverloadedError: 408, 425, 429 or 5xx.
            QueryTooComplexError: 413, the body is larger than the node takes.
            GatewayRefusedError: any other status.
        """
        here = current_trace()
        trace = None if here is None else here.next_step()
        begun_ns, status = time.time_ns(), 0
        content = json.dumps(body, separators=(",", ":")).encode()
        try:
            async with self._client.stream(
                "POST",
                self._url,
                content=content,
                headers=_headers(trace),
                timeout=timeout_seconds,
            ) as response:
                status = response.status_code
                self._check_status(response)
                return self._decode(await self._read(response))
        except httpx.HTTPError as error:
            # `from None`: the chained error would hold the request, and with it the header.
            raise NodeUnreachableError(
                f"the node {self.public_url} did not answer ({type(error).__name__})"
            ) from None
        finally:
            span_ended(
                trace,
                "node request",
                SpanKind.CLIENT,
                begun_ns,
                failed=status != _OK,
                attributes={"server.address": self._host, "http.response.status_code": status},
            )

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == _OK:
            return
        said = f"the node {self.public_url} answered with status {status}"
        if status in _TRANSIENT_STATUS or status >= _SERVER_ERRORS:
            raise NodeOverloadedError(said, _retry_after(response.headers.get("retry-after", "")))
        raise QueryTooComplexError(said) if status == _TOO_LARGE else GatewayRefusedError(said)

    async def _read(self, response: httpx.Response) -> bytes:
        chunks, size = [], 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise QueryTooComplexError(f"the answer of {self.public_url} is too large")
            chunks.append(chunk)
        return b"".join(chunks)

    def _decode(self, content: bytes) -> object:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise NodeUnreachableError(
                f"the node {self.public_url} sent no JSON, or it broke off"
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _retry_after(header: str) -> float:
    """Return the seconds that a ``Retry-After`` asks for; 0: it is missing or a date.

    Gateways send seconds. A date would need a clock that agrees with theirs.
    """
    seconds = header.strip()
    if not (seconds.isascii() and seconds.isdigit()):
        return 0.0
    return min(float(seconds[:_MOST_DIGITS]), LONGEST_RETRY_AFTER_SECONDS)


def _silence() -> None:
    """Keep headers out of the log even where somebody wishes to see debug lines."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


@cache
def _tls_context(*, http2: bool) -> ssl.SSLContext:
    """Read the trusted certificates once, not for each node: it takes about 50 ms of CPU.

    One context for each protocol, because connections write into it what they negotiate.
    """
    del http2
    return httpx.create_ssl_context(trust_env=False)


def _split_credentials(url: str) -> tuple[str, httpx.BasicAuth | None]:
    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, httpx.BasicAuth(unquote(user), unquote(password))
