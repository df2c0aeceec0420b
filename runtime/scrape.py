"""What a scrape shows, and who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from ipaddress import ip_address

from cache.connection import connect
from cache.vitals import VitalSigns
from config.settings import IpNetwork, Settings
from domain.errors import BrokerUnavailableError, CacheUnavailableError
from domain.lanes import BrokerState, LaneWatch
from domain.vitals import CacheVitals
from telemetry.exposition import exposition
from telemetry.shared import SharedState

_BEARER = "Bearer "


class Door:
    """Lets in who may read metrics: known addresses, and whoever has the token."""

    def __init__(self, settings: Settings) -> None:
        self._allowed: Sequence[IpNetwork] = settings.metrics_allowed_cidrs
        token = settings.metrics_token
        self._token = "" if token is None else token.get_secret_value()

    def is_open(self, address: str | None, authorization: str | None) -> bool:
        """Tell whether a caller may read.

        Args:
            address: where he calls from; None: nobody can tell.
            authorization: that header of his.
        """
        if self._token and authorization is not None and authorization.startswith(_BEARER):
            given = authorization.removeprefix(_BEARER).encode("utf-8", "surrogateescape")
            if compare_digest(given, self._token.encode()):
                return True
        return address is not None and self._is_allowed(address)

    def _is_allowed(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._allowed)


class Scraper:
    """Collects what is shown.

    Args:
        settings: which chains, and whether beat has anything to do.
        vitals: how the cache is.
        lanes: what waits at the broker; None: this process does not know it.
    """

    def __init__(self, settings: Settings, vitals: VitalSigns, lanes: LaneWatch | None) -> None:
        self._settings = settings
        self._vitals = vitals
        self._lanes = lanes

    async def scrape(self) -> bytes:
        """Return the text for Prometheus; what does not answer is left out and said to be down."""
        return exposition(await self.shared_state())

    async def shared_state(self) -> SharedState:
        """Return how cache, broker and lanes are at this moment."""
        return SharedState(
            cache=await self._cache(),
            broker=await self._broker(),
            beat_expected=self._settings.enable_balance_cache,
        )

    async def _cache(self) -> CacheVitals | None:
        try:
            return await self._vitals.read(self._settings.chain_ids)
        except CacheUnavailableError:
            return None

    async def _broker(self) -> BrokerState | None:
        if self._lanes is None:
            return None
        try:
            return await self._lanes.broker_state()
        except BrokerUnavailableError:
            return None


async def scrape_once(settings: Settings, lanes: LaneWatch) -> bytes:
    """Do one scrape with a connection of its own: for a thread without an event loop."""
    client = connect(settings.redis_url)
    try:
        vitals = VitalSigns(client, hash_tags=settings.redis_hash_tags)
        return await Scraper(settings, vitals, lanes).scrape()
    finally:
        await client.aclose()
