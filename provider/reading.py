"""Reading one vault to its end, as one state of the chain.

Each request sees a block of its own, so pages that follow each other may tell of different
states. A vault that does not fit on its page is therefore asked for again with a wider page, in
one request. Only where the node's limits leave no wider page are cursors followed, and then all
pages must be of one height: each asks for the previous page's height, and the reading starts
again when the height moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from domain.errors import (
    MalformedAnswerError,
    NodeUnreachableError,
    ProviderError,
    QueryRefusedError,
    TransientProviderError,
)
from domain.values import Address, AssetId, Balance, BlockHeight, ChainId, Snapshot
from provider.answers import Envelope, PageAnswer, read_page
from provider.costs import PAGE_SIZE, widest_page
from provider.listing import ListedAssets
from provider.planner import Limits, Page

WIDER_PAGES = (1_000, 20_000)
"""What is asked for when the usual page is too small."""

UNINDEXED_PAGES = (10_000, 100_000, 1_000_000)
"""Without an index the node knows no cursors, and the page size costs nothing."""

PASSES = 4
"""How often the pages of a vault are collected before we give up on a state that stands still."""


@dataclass(frozen=True, slots=True)
class PageSource:
    """An answer and what is to be known about it.

    Attributes:
        envelope: the answer.
        limits: those of the node, under which the pages were asked for.
        sent_height: the height that the request required.
        chain_id: the chain that the node was verified to serve.
        public_url: the node.
        base_asset_id: the chain's base asset.
        listed: what was listed before.
    """

    envelope: Envelope
    limits: Limits
    sent_height: BlockHeight
    chain_id: ChainId
    public_url: str
    base_asset_id: AssetId
    listed: ListedAssets

    @property
    def can_compare_lists(self) -> bool:
        """True when the list may not be shorter than before: indexed, and no step back in time."""
        return self.limits.indexation and self.envelope.height is not None


@dataclass(slots=True)
class VaultReading:
    """How far the reading of one vault has come.

    Attributes:
        address: the vault.
        required_height: what its next page must be true at, or later.
        notify: told the result.
        failure: why the last attempt gave nothing; what is answered when time is over.
        lower_height: what the request of this pass's first page required.
        followers: others who asked for the same before it was sent; they get the same result.
        width: how many times the page was widened.
        after: where the next page begins.
        rows: what the pages of this pass held until now.
        page_height: the height of this pass's pages, while all of them share one.
        steady: every page of this pass was provably of one height.
        passes: what was collected by the passes before.
        result: set at the end.
    """

    address: Address
    required_height: BlockHeight
    notify: Callable[[Address, Snapshot | ProviderError], None]
    failure: ProviderError | None = None
    lower_height: BlockHeight = 0
    followers: list[VaultReading] = field(default_factory=list)
    width: int = 0
    after: str | None = None
    rows: list[Balance] = field(default_factory=list)
    page_height: BlockHeight | None = None
    steady: bool = True
    passes: list[tuple[Balance, ...]] = field(default_factory=list)
    result: Snapshot | ProviderError | None = None

    def next_page(self, limits: Limits) -> Page:
        """Return the page to ask a node with these limits for."""
        after = self.after if limits.indexation else None
        return Page(self.address, _page_sizes(limits)[self._step(limits)], after)

    def _step(self, limits: Limits) -> int:
        return min(self.width, len(_page_sizes(limits)) - 1)

    def accept(
        self,
        answer: PageAnswer,
        limits: Limits,
        *,
        sent_height: BlockHeight,
        height: BlockHeight | None,
    ) -> tuple[Balance, ...] | None:
        """Take a page; return all balances of the vault when they are known as one state.

        Args:
            answer: the page.
            limits: those under which it was asked for.
            sent_height: the height that the request required.
            height: the height that the node named; None: none.

        Raises:
            ProviderError: the vault cannot be read as one state.
        """
        if not limits.indexation:
            self._begin_pass()  # the cursor of a node with an index means nothing to this one
        if self.after is None:
            self.lower_height = sent_height
        if self.after is None and answer.next_cursor is None:
            return answer.balances
        if self.after is None and self._step(limits) < len(_page_sizes(limits)) - 1:
            self.width = self._step(limits) + 1
            return None
        if not limits.indexation:
            raise QueryRefusedError(
                f"predicate {self.address} has more assets than a node without an index shows"
            )
        return self._follow(answer, sent_height, height)

    def _follow(
        self, answer: PageAnswer, sent_height: BlockHeight, height: BlockHeight | None
    ) -> tuple[Balance, ...] | None:
        self._append(answer)
        # A page is of exactly this height only if it was required and is still the node's.
        exact = height is not None and sent_height == height
        self.steady = self.steady and exact and self.page_height in (None, height)
        self.page_height = height
        self.required_height = max(self.required_height, height or 0)
        self.after = answer.next_cursor
        return self._collected() if self.after is None else None

    def _append(self, answer: PageAnswer) -> None:
        seen = {balance.asset_id for balance in self.rows}
        if any(balance.asset_id in seen for balance in answer.balances):
            raise MalformedAnswerError("one asset stands on two pages")
        self.rows.extend(answer.balances)

    def _collected(self) -> tuple[Balance, ...] | None:
        """End a pass: return what it collected if it is one state, else begin the next."""
        collected = tuple(self.rows)
        if self.steady or (self.passes and self.passes[-1] == collected):
            return collected
        self.passes.append(collected)
        if len(self.passes) >= PASSES:
            raise TransientProviderError(f"{self.address} kept changing while its pages were read")
        self._begin_pass()
        return None

    def _begin_pass(self) -> None:
        self.rows.clear()
        self.after, self.steady, self.page_height = None, True, None

    def begin_again(self) -> None:
        """Forget the pages that were read: another node is asked, at a height of its own."""
        self._begin_pass()
        self.passes.clear()

    def take(self, source: PageSource, name: str, page: Page) -> None:
        """Read our part of an answer; the reading ends when it was the last part.

        Raises:
            ProviderError: it cannot be believed.
        """
        answer = read_page(source.envelope.data, name, page.first)
        balances = self.accept(
            answer,
            source.limits,
            sent_height=source.sent_height,
            height=source.envelope.height,
        )
        if balances is None:
            return
        if source.can_compare_lists:
            listed = (balance.asset_id for balance in balances)
            source.listed.check(self.address, listed, source.base_asset_id)
        self.settle(self._snapshot(balances, source))

    def _snapshot(self, balances: tuple[Balance, ...], source: PageSource) -> Snapshot:
        height = source.envelope.height
        return Snapshot(
            address=self.address,
            chain_id=source.chain_id,
            balances=tuple(balance for balance in balances if balance.amount > 0),
            height=0 if height is None else self.lower_height,
            height_upper=height,
            network_url=source.public_url,
        )

    def too_late(self) -> ProviderError:
        """Return the error of a reading that has not ended when time is over."""
        if self.failure is not None:
            return self.failure
        return NodeUnreachableError(f"no balances of {self.address} before the deadline")

    def settle(self, result: Snapshot | ProviderError) -> None:
        """End the reading, once."""
        if self.result is None:
            self.result = result
            self.notify(self.address, result)
            for follower in self.followers:
                follower.settle(result)


@lru_cache(maxsize=1024)
def _page_sizes(limits: Limits) -> tuple[int, ...]:
    """Return the page sizes that a node allows, from the usual to the widest."""
    if not limits.indexation:
        return UNINDEXED_PAGES
    widest = widest_page(limits.complexity)
    return tuple(dict.fromkeys(min(size, widest) for size in (PAGE_SIZE, *WIDER_PAGES)))
