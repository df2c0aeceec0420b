"""Building a provider from the settings."""

from __future__ import annotations

from config.settings import Settings
from domain.budget import BudgetLimits
from domain.networks import Network
from domain.ports import CallBudget
from provider.budget import LocalCallBudget, SharedOrLocalBudget
from provider.node import NodeProvider


def budget_limits(settings: Settings) -> BudgetLimits:
    """Return the budget of node calls of all processes together."""
    return BudgetLimits(
        calls_per_second=settings.node_calls_per_second,
        burst=settings.node_calls_burst,
        under_way=settings.node_calls_under_way,
    )


def node_provider(
    settings: Settings, network: Network, shared: CallBudget | None = None
) -> NodeProvider:
    """Build the provider of one network; opens nothing yet.

    Args:
        settings: what the operator decided.
        network: the network.
        shared: the budget of all processes; None: this process has its local share alone.
    """
    local = LocalCallBudget(budget_limits(settings).share(settings.node_calls_local_share))
    return NodeProvider(
        network,
        timeout_seconds=settings.node_timeout_seconds,
        concurrency=settings.node_concurrency,
        budget=local if shared is None else SharedOrLocalBudget(shared, local),
        hedge_quantile=settings.node_hedge_quantile,
        http2=settings.node_http2,
    )
