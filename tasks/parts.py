"""What a task's body is given: the parts of its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from config.settings import Settings
from domain.errors import ProviderError
from domain.ports import BalanceCache, BalanceReader, PredicateDirectory
from domain.values import ChainId


class Parts(Protocol):
    """The parts that tasks use; `runtime.assembly.Runtime` has them, and a few more."""

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        ...

    @property
    def cache(self) -> BalanceCache:
        """The coherent store."""
        ...

    @property
    def registry(self) -> PredicateDirectory:
        """Whose predicates there are."""
        ...

    def reader(self, chain_id: ChainId) -> BalanceReader:
        """Return the balances of one network.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        ...

    async def verify_nodes(self) -> Mapping[ChainId, ProviderError | None]:
        """Ask every network's nodes who they are; None where all is well."""
        ...

    async def close(self) -> None:
        """Give all connections back."""
        ...
