"""The vaults that people look at, and how each is."""

from __future__ import annotations

from dataclasses import dataclass

from domain.values import Address, ChainId, Fresh, Missing, ReadAnswer, Stale
from runtime.assembly import Runtime

_PORTION = 200


@dataclass(frozen=True, slots=True)
class HotVault:
    """A vault that people look at.

    Attributes:
        address: the vault.
        chain_id: the chain.
        reads: how often lately.
        state: fresh, missing, or why it is stale.
        age_seconds: since the snapshot was published; None: there is none.
    """

    address: Address
    chain_id: ChainId
    reads: float
    state: str
    age_seconds: float | None


async def hot_vaults(runtime: Runtime, chain_id: ChainId, looked_at: int) -> list[HotVault]:
    """Look at so many vaults of those that were read last; counts as no read.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    hottest = await runtime.inspector.hottest(chain_id, looked_at)
    vaults = []
    for at in range(0, len(hottest), _PORTION):
        portion = dict(hottest[at : at + _PORTION])
        answers = await runtime.cache.read(chain_id, list(portion), counted=False)
        for address, heat in portion.items():
            answer = answers[address]
            age = None if isinstance(answer, Missing) else answer.age_ms / 1000
            vaults.append(HotVault(address, chain_id, round(heat.reads, 1), _state(answer), age))
    return vaults


def _state(answer: ReadAnswer) -> str:
    if isinstance(answer, Stale):
        return f"stale: {answer.reason.value}"
    return "fresh" if isinstance(answer, Fresh) else "missing"
