"""The schema that is served, with the resolvers in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, GraphQLUnionType, build_schema

from devnet.balances import resolve_balance, resolve_balances
from devnet.block_types import BLOCK, HEADER
from devnet.coins import Coin, Message
from devnet.mutations import resolve_produce_blocks, resolve_submit
from devnet.queries import (
    resolve_block,
    resolve_blocks,
    resolve_chain,
    resolve_coins,
    resolve_latest_gas_price,
    resolve_message,
    resolve_message_status,
    resolve_messages,
    resolve_node_info,
    resolve_transaction,
    resolve_transactions_by_owner,
)
from devnet.subscriptions import (
    watch_new_blocks,
    watch_preconfirmations,
    watch_status_change,
    watch_submit_and_await,
    watch_submit_and_await_status,
)
from devnet.transaction_types import (
    INPUT_COIN,
    INPUT_MESSAGE,
    PAYING_OUTPUT,
    STATUS,
    TRANSACTION,
    resolve_mint_asset_id,
    resolve_status_block,
    resolve_transaction_status,
)
from devnet.transactions import StatusKind

Resolver = Callable[..., Any]

_QUERIES: dict[str, Resolver] = {
    "health": lambda *_: True,
    "chain": resolve_chain,
    "nodeInfo": resolve_node_info,
    "balance": resolve_balance,
    "balances": resolve_balances,
    "coins": resolve_coins,
    "block": resolve_block,
    "blocks": resolve_blocks,
    "transaction": resolve_transaction,
    "transactionsByOwner": resolve_transactions_by_owner,
    "message": resolve_message,
    "messages": resolve_messages,
    "messageStatus": resolve_message_status,
    "latestGasPrice": resolve_latest_gas_price,
    "estimateGasPrice": lambda *_, **_arguments: {"gasPrice": "0"},
}

_MUTATIONS: dict[str, Resolver] = {
    "submit": resolve_submit,
    "produceBlocks": resolve_produce_blocks,
}

_SUBSCRIPTIONS: dict[str, Resolver] = {
    "statusChange": watch_status_change,
    "submitAndAwait": watch_submit_and_await,
    "submitAndAwaitStatus": watch_submit_and_await_status,
    "alpha__preconfirmations": watch_preconfirmations,
    "alpha__new_blocks": watch_new_blocks,
}

_COIN: dict[str, Callable[[Coin], Any]] = {
    "utxoId": lambda coin: coin.utxo_id,
    "owner": lambda coin: coin.owner,
    "assetId": lambda coin: coin.asset_id,
    "amount": lambda coin: str(coin.amount),
    "blockCreated": lambda coin: str(coin.block_created),
    "txCreatedIdx": lambda coin: str(coin.transaction_index),
}

_MESSAGE: dict[str, Callable[[Message], Any]] = {
    "nonce": lambda message: message.nonce,
    "sender": lambda message: message.sender,
    "recipient": lambda message: message.recipient,
    "amount": lambda message: str(message.amount),
    "data": lambda message: message.data,
    "daHeight": lambda message: str(message.da_height),
}

_ARGUMENT_NAMES = {
    "assetId": "asset_id",
    "filter": "filters",
    "id": "wanted",
    "blockHorizon": "block_horizon",
    "includePreconfirmation": "include_preconfirmation",
    "estimatePredicates": "estimate_predicates",
    "startTimestamp": "start_timestamp",
    "blocksToProduce": "blocks_to_produce",
}
"""What the resolvers call the schema's arguments."""

_READERS: dict[str, Mapping[str, Callable[[Any], Any]]] = {
    "Block": BLOCK,
    "Header": HEADER,
    "Coin": _COIN,
    "Message": _MESSAGE,
    "Transaction": TRANSACTION,
    "InputCoin": INPUT_COIN,
    "InputMessage": INPUT_MESSAGE,
    "CoinOutput": PAYING_OUTPUT,
    "ChangeOutput": PAYING_OUTPUT,
    "VariableOutput": PAYING_OUTPUT,
    **{kind.value: STATUS for kind in StatusKind},
}


@lru_cache(maxsize=1)
def served_schema() -> GraphQLSchema:
    """Return the schema with its resolvers; all nodes share it."""
    text = resources.files("devnet").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(text)
    for graphql_type in schema.type_map.values():
        if isinstance(graphql_type, GraphQLUnionType):
            graphql_type.resolve_type = _type_name
        elif isinstance(graphql_type, GraphQLObjectType) and graphql_type.name[:2] != "__":
            _attach_readers(graphql_type)
    _attach(schema, "Query", _QUERIES)
    _attach(schema, "Mutation", _MUTATIONS)
    for name, field in _fields(schema, "Subscription").items():
        field.subscribe = _SUBSCRIPTIONS[name]
        field.resolve = _itself
    _attach(schema, "Transaction", {"status": resolve_transaction_status})
    _attach(schema, "Transaction", {"mintAssetId": resolve_mint_asset_id})
    for kind in (StatusKind.SUCCESS, StatusKind.FAILURE):
        _attach(schema, kind.value, {"block": resolve_status_block})
    return schema


def _type_name(value: Any, *_: object) -> str:
    name: str = value["__typename"] if isinstance(value, dict) else value.typename
    return name


def _attach_readers(graphql_type: GraphQLObjectType) -> None:
    readers = _READERS.get(graphql_type.name)
    for name, field in graphql_type.fields.items():
        _name_arguments(field)
        if readers is None:
            field.resolve = _entry(name)
        elif name in readers:
            field.resolve = _applied(readers[name])


def _attach(schema: GraphQLSchema, type_name: str, resolvers: Mapping[str, Resolver]) -> None:
    fields = _fields(schema, type_name)
    for name, resolver in resolvers.items():
        fields[name].resolve = resolver


def _fields(schema: GraphQLSchema, type_name: str) -> dict[str, GraphQLField]:
    graphql_type = schema.type_map[type_name]
    if not isinstance(graphql_type, GraphQLObjectType):
        raise TypeError(f"{type_name} has no fields")
    fields: dict[str, GraphQLField] = graphql_type.fields
    return fields


def _itself(source: Any, *_info: object, **_arguments: object) -> Any:
    """Answer a subscription's field: the event is the value."""
    return source


def _name_arguments(field: GraphQLField) -> None:
    for name, argument in field.args.items():
        argument.out_name = _ARGUMENT_NAMES.get(name)


def _entry(name: str) -> Resolver:
    """Return a resolver that reads an entry of a dict, and null where it is absent."""
    return lambda source, *_info, **_arguments: source.get(name)


def _applied(read: Callable[[Any], Any]) -> Resolver:
    return lambda source, *_info, **_arguments: read(source)
