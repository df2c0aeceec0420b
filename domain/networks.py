"""A network: a chain id, its name, and the nodes that we may ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from domain.values import ChainId


@dataclass(frozen=True, slots=True)
class Network:
    """One entry of the allow-list.

    Attributes:
        chain_id: what every node of this network must report.
        name: for people.
        urls: the nodes' GraphQL addresses in order of preference. They may carry credentials:
            only the provider uses them; everybody else shows `public_url`.
    """

    chain_id: ChainId
    name: str
    urls: tuple[str, ...]

    @property
    def public_url(self) -> str:
        """The first node's address without credentials: fit for logs, keys and answers."""
        return without_credentials(self.urls[0])

    def __repr__(self) -> str:
        """Show the network with no credentials, because reprs end up in logs."""
        urls = [without_credentials(url) for url in self.urls]
        return f"Network(chain_id={self.chain_id}, name={self.name!r}, urls={urls})"


def without_credentials(url: str) -> str:
    """Return the URL without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
