"""The command: ``python -m devnet``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from devnet.options import BASE_ASSET_ID, DEFAULT_PORT, DevnetOptions, Limits
from domain.errors import ConfigurationError


def devnet_command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = (
        DEFAULT_PORT
    ),
    chain_id: Annotated[int, typer.Option(help="What the nodes report; 0 is a real id.")] = 0,
    chain_name: Annotated[str, typer.Option(help="The chain's name.")] = "Local testnet",
    base_asset_id: Annotated[str, typer.Option(help="The asset that pays fees.")] = BASE_ASSET_ID,
    block_seconds: Annotated[
        float, typer.Option(help="A block is made that often; 0: only on demand.")
    ] = 1.0,
    latency_ms: Annotated[
        float, typer.Option(help="Each request takes that long, however much it asks for.")
    ] = 0.0,
    indexation: Annotated[
        bool, typer.Option(help="Whether the nodes keep an index of balances.")
    ] = True,
    off_chain_delay_ms: Annotated[
        float, typer.Option(help="How long the index follows behind the chain.")
    ] = 0.0,
    nodes: Annotated[int, typer.Option(help="Nodes that answer in turn.")] = 1,
    lag: Annotated[
        str, typer.Option(help="Blocks that each node is behind, for example 0,5,12.")
    ] = "",
    max_complexity: Annotated[int, typer.Option(help="The highest cost of a query.")] = 80_000,
    expensive_subscriptions: Annotated[
        bool, typer.Option(help="Serve the alpha subscriptions.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            help='JSON: {"balances": [{"owner": "0x…", "assetId": "0x…", "amount": "1"}]}'
        ),
    ] = None,
) -> None:
    """Simulate Fuel nodes of one chain, as strict as fuel-core 0.47.

    GraphQL is served at /v1/graphql, event streams at /v1/graphql-sub.
    Each node of its own is at /nodes/0/v1/graphql and so on.

    What happens on the chain is decided by JSON over HTTP. POST:
    /devnet/accounts sets balances, /devnet/transfer pays,
    /devnet/deposit comes from L1, /devnet/blocks makes blocks,
    /devnet/faults lets requests fail, /devnet/latency and
    /devnet/nodes/0 change how fast and how far behind the nodes are.
    GET: /devnet/state, /devnet/requests and /devnet/faults tell.
    """
    from devnet.server import run  # noqa: PLC0415 - whoever only lists the commands needs no server

    try:
        run(
            DevnetOptions(
                host=host,
                port=port,
                chain_id=chain_id,
                chain_name=chain_name,
                base_asset_id=base_asset_id,
                block_seconds=block_seconds,
                latency_ms=latency_ms,
                indexation=indexation,
                off_chain_delay_ms=off_chain_delay_ms,
                nodes=nodes,
                lags=_lags(lag),
                expensive_subscriptions=expensive_subscriptions,
                limits=Limits(complexity=max_complexity),
                state_file=state,
            )
        )
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


def _lags(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise ConfigurationError(f"devnet: --lag is numbers like 0,5,12, not {text!r}") from error


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(devnet_command)

if __name__ == "__main__":
    app()
