"""The mutations: submitting a transaction, and making blocks."""

from __future__ import annotations

from graphql import GraphQLError

from devnet.blocks import unix_seconds
from devnet.node import Info, ReadView
from devnet.scalars import hex_string, unsigned
from devnet.submission import submit_raw
from devnet.transactions import Transaction
from domain.errors import InvalidValueError

_MOST_BLOCKS = 10_000


def resolve_submit(
    _source: object, info: Info, *, tx: object, estimate_predicates: object = None
) -> Transaction:
    """Answer `submit`: the transaction is in the pool. Predicates are not executed at all."""
    del estimate_predicates
    view: ReadView = info.context
    return submit_raw(view.chain, hex_string(tx))


def resolve_produce_blocks(
    _source: object, info: Info, *, blocks_to_produce: object, start_timestamp: object = None
) -> str:
    """Answer `produceBlocks`: the newest height."""
    view: ReadView = info.context
    count = unsigned("U32", blocks_to_produce)
    if count > _MOST_BLOCKS:
        raise GraphQLError(f"the devnet makes at most {_MOST_BLOCKS} blocks at once")
    start = None
    if start_timestamp is not None:
        start = unix_seconds(unsigned("Tai64Timestamp", start_timestamp))
    step = int(view.node.options.block_seconds)
    try:
        return str(view.chain.produce_blocks(count, start=start, step=step))
    except InvalidValueError as error:
        raise GraphQLError(str(error)) from error
