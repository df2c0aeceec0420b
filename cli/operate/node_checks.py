"""What `doctor` looks at on the chains: the nodes, and who follows them."""

from __future__ import annotations

from collections.abc import Sequence

from cli.operate.findings import Finding, doubtful, good, wrong
from cli.output import span
from domain.networks import Network
from provider.reports import NodeReport
from runtime.assembly import Runtime

_TIMEOUT_SECONDS = 5.0
_LAG_BLOCKS = 10
_OLD_BLOCK_SECONDS = 60.0


async def check_nodes(runtime: Runtime) -> list[Finding]:
    """Ask every node of every network who it is and how high it stands."""
    reports = await runtime.node_reports(_TIMEOUT_SECONDS)
    return [
        finding
        for network in runtime.settings.fuel_networks
        for finding in _network(network, reports[network.chain_id])
    ]


def _network(network: Network, reports: Sequence[NodeReport]) -> list[Finding]:
    heights = [report.height for report in reports if report.height is not None]
    highest = max(heights, default=0)
    return [_node(network, report, highest, alone=not heights) for report in reports]


def _node(network: Network, report: NodeReport, highest: int, *, alone: bool) -> Finding:
    name = f"node {report.url}"
    if report.error is not None:
        if report.error.startswith("WrongChainError"):
            return wrong(name, report.error, "correct FUEL_NETWORKS: it is another chain's node")
        advice = "is it up, and may this machine reach it? Readers get the last known meanwhile"
        return (wrong if alone else doubtful)(name, report.error, advice)
    height, age = report.height or 0, report.block_age_seconds or 0.0
    told = (
        f"{network.name}, chain id {network.chain_id}, version {report.version}, height {height}, "
        f"its block is {span(age)} old, answers in {(report.answer_seconds or 0) * 1000:.0f} ms"
    )
    if highest - height > _LAG_BLOCKS:
        advice = "it lags: it is not asked for what it does not know; give it time or leave it out"
        return doubtful(name, f"{told}, {highest - height} blocks behind", advice)
    if age > _OLD_BLOCK_SECONDS:
        advice = "the chain stands still, or the node has lost its peers"
        return doubtful(name, told, advice)
    if not report.indexation:
        advice = "without its index of balances each vault is a request: start it with the index"
        return doubtful(name, told, advice)
    return good(name, told)


async def check_followers(runtime: Runtime) -> list[Finding]:
    """Look whether somebody follows each chain, and how far he is.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    settings = runtime.settings
    if not (settings.follow_enabled and settings.enable_balance_cache):
        return []
    findings = []
    for network in settings.fuel_networks:
        name = f"follower of {network.name}"
        status = await runtime.followed(network.chain_id).cursors.status(network.chain_id)
        cursor = status.state.cursor
        if not status.active:
            told = "nobody follows the chain: deposits that nobody announces are not seen"
            advice = "is beat up, and a worker of the invalidation lane?"
            findings.append(wrong(name, told, advice))
            continue
        behind = 0 if cursor is None or status.tip is None else status.tip - cursor.height
        told = f"at block {'none yet' if cursor is None else cursor.height}, {behind} behind"
        if behind > _LAG_BLOCKS:
            findings.append(doubtful(name, told, "it catches up by itself if the node answers"))
        else:
            findings.append(good(name, told))
    return findings
