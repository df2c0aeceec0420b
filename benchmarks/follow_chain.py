"""The simulated node of `benchmarks.follow`, in a process of its own, and who pays on it.

It makes the blocks and keeps the books. What it computes takes no time from whoever looks for the
deposits in the cache: they run on different cores if there are any.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from devnet.chain import AccountBalance, Payment
from devnet.options import BASE_ASSET_ID, DevnetOptions
from devnet.server import DevnetServer
from domain.values import Address

STARTING_AMOUNT = 1_000
_END_SECONDS = 10.0


@dataclass(slots=True)
class Deposit:
    """What a vault must hold from a block on, and when the cache said so.

    Attributes:
        vault: whose it is.
        amount: what the vault holds with it.
        height: of its block.
        made_at: when that block was made, by the machine's monotonic clock.
        by_l1: no transaction tells of it.
        seen_after: seconds until the cache called it fresh; None: not yet.
    """

    vault: Address
    amount: int
    height: int
    made_at: float
    by_l1: bool
    seen_after: float | None = None


@dataclass(slots=True)
class Strangers:
    """Those who pay, in the node's process."""

    node: DevnetServer
    vaults: Sequence[Address]
    chance: random.Random
    amounts: dict[Address, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Give each vault its coins, and begin the chain."""
        self.amounts = dict.fromkeys(self.vaults, STARTING_AMOUNT)
        self.node.chain.set_balances(
            AccountBalance(vault, BASE_ASSET_ID, STARTING_AMOUNT) for vault in self.vaults
        )
        self.node.chain.produce_blocks(3)

    def block(self, transactions: int, *, event: bool) -> list[Deposit]:
        """Let strangers pay vaults, and make the block that tells; after an event L1 pays too."""
        chain = self.node.chain
        paid = [(vault, False) for vault in self.chance.sample(self.vaults, transactions)]
        for vault, _ in paid:
            chain.submit(chain.prepare(Payment(None, vault, BASE_ASSET_ID, 1)))
        if event:
            vault = self.chance.choice(self.vaults)
            chain.deposit(vault, 1)
            paid.append((vault, True))
        made_at = time.monotonic()
        height = chain.produce_blocks(1)
        deposits = []
        for vault, by_l1 in paid:
            self.amounts[vault] += 1
            deposits.append(Deposit(vault, self.amounts[vault], height, made_at, by_l1))
        return deposits

    def operations(self) -> dict[str, int]:
        """Return how many requests of each kind the node has got."""
        found: dict[str, int] = self.node.devnet.log.counts()["byOperation"]
        return found


class Simulator:
    """The node's process, from outside. Each method waits for its answer."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def begin(self, vaults: Sequence[Address], seed: int) -> None:
        """Give each vault its coins, and begin the chain."""
        self._ask("begin", vaults, seed)

    def block(self, transactions: int, *, event: bool) -> list[Deposit]:
        """Make the next block; return what it pays."""
        deposits: list[Deposit] = self._ask("block", transactions, event)
        return deposits

    def operations(self) -> dict[str, int]:
        """Return how many requests of each kind the node has got."""
        found: dict[str, int] = self._ask("operations")
        return found

    def end(self) -> None:
        """Let the process end."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)

    def _ask(self, *order: object) -> Any:
        self._pipe.send(order)
        return self._pipe.recv()


@contextlib.contextmanager
def simulator(latency_ms: int) -> Iterator[Simulator]:
    """Run the node in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_simulate, args=(theirs, latency_ms), daemon=True)
    process.start()
    theirs.close()
    handle = Simulator(ours)
    try:
        yield handle
    finally:
        handle.end()
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()


def _simulate(pipe: Connection[Any, Any], latency_ms: int) -> None:
    """Do what the other end of the pipe orders; end when it orders nothing more."""
    with DevnetServer(DevnetOptions(port=0, block_seconds=0, latency_ms=latency_ms)) as node:
        pipe.send(node.url)
        strangers = Strangers(node, (), random.Random())
        while (order := _next_order(pipe)) is not None:
            answer: object = None
            match order:
                case ("begin", vaults, seed):
                    strangers = Strangers(node, vaults, random.Random(seed))
                    strangers.begin()
                case ("block", transactions, event):
                    answer = strangers.block(transactions, event=event)
                case ("operations",):
                    answer = strangers.operations()
            pipe.send(answer)


def _next_order(pipe: Connection[Any, Any]) -> tuple[Any, ...] | None:
    try:
        order: tuple[Any, ...] | None = pipe.recv()
    except EOFError:  # whoever orders is gone
        return None
    return order
