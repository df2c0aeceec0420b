"""The admin interface under ``/devnet/``: what a test or a developer does to the chain."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devnet.chain import Payment
from devnet.problems import AdminError, read_object
from devnet.scalars import hex_string
from devnet.state import Devnet
from devnet.state_file import parse_balance, read_amount
from devnet.transactions import OutputKind
from domain.errors import InvalidValueError
from domain.values import Address, parse_address, parse_asset_id

_MOST_BLOCKS = 10_000
_KINDS = {"coin": OutputKind.COIN, "variable": OutputKind.VARIABLE}


class Admin:
    """Handlers of the admin requests."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/accounts", self.set_accounts, methods=["POST"]),
            Route("/transfer", self.transfer, methods=["POST"]),
            Route("/deposit", self.deposit, methods=["POST"]),
            Route("/blocks", self.produce_blocks, methods=["POST"]),
            Route("/pool/{transaction}/preconfirm", self.preconfirm, methods=["POST"]),
            Route("/pool/{transaction}/squeeze-out", self.squeeze_out, methods=["POST"]),
            Route("/requests", self.requests, methods=["GET"]),
            Route("/requests/reset", self.reset_requests, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Tell how the chain and the nodes stand, and what was asked of them."""
        chain = self._devnet.chain
        return JSONResponse(
            {
                "chainId": chain.chain_id,
                "chainName": self._devnet.options.chain_name,
                "baseAssetId": chain.base_asset_id,
                "height": chain.height,
                "daHeight": chain.blocks[-1].da_height,
                "poolSize": chain.pool_size,
                "nodes": [
                    {
                        "number": node.number,
                        "height": node.on_chain_height,
                        "offChainHeight": node.off_chain_height,
                        "lag": node.lag,
                        "offChainLag": node.off_chain_lag,
                        "offChainDelayMs": node.off_chain_delay_ms,
                        "indexation": node.indexation,
                    }
                    for node in self._devnet.nodes.nodes
                ],
                "requests": self._devnet.log.counts(),
            }
        )

    async def set_accounts(self, request: Request) -> Response:
        """Give accounts what they have, as if from the beginning; all of it or nothing."""
        content = await read_object(request, {"balances"})
        if not isinstance(content["balances"], list):
            raise AdminError(400, "balances is not a list")
        balances = [_numbered(number, entry) for number, entry in enumerate(content["balances"])]
        self._devnet.chain.set_balances(balances)
        return JSONResponse({"balances": len(balances), "height": self._devnet.chain.height})

    async def transfer(self, request: Request) -> Response:
        """Pay, in a block that is made at once, or (``pending``) in the next one."""
        required = {"to", "assetId", "amount"}
        content = await read_object(request, required, {"from", "output", "failure", "pending"})
        chain = self._devnet.chain
        transaction = chain.prepare(_payment(content))
        chain.submit(transaction, failure=_failure(content))
        height = None if _flag(content, "pending") else chain.produce_blocks(1)
        return JSONResponse({"transactionId": transaction.transaction_id, "blockHeight": height})

    async def deposit(self, request: Request) -> Response:
        """Let L1 send base asset: the balance changes in the next block, by no transaction."""
        content = await read_object(request, {"to", "amount"}, {"data", "pending"})
        data = content.get("data", "0x")
        payload = "0x" + hex_string(data).hex()
        chain = self._devnet.chain
        message = chain.deposit(_address(content, "to"), read_amount(content["amount"]), payload)
        height = None if _flag(content, "pending") else chain.produce_blocks(1)
        return JSONResponse(
            {"nonce": message.nonce, "daHeight": message.da_height, "blockHeight": height}
        )

    async def produce_blocks(self, request: Request) -> Response:
        """Make blocks."""
        content = await read_object(request, set(), {"count"})
        count = content.get("count", 1)
        if not isinstance(count, int) or not 1 <= count <= _MOST_BLOCKS:
            raise AdminError(400, f"count is a whole number from 1 to {_MOST_BLOCKS}")
        return JSONResponse({"height": self._devnet.chain.produce_blocks(count)})

    async def preconfirm(self, request: Request) -> Response:
        """Announce a pooled transaction's outcome; the balances do not know it before a block."""
        await read_object(request, set())
        transaction_id = request.path_params["transaction"]
        self._devnet.chain.preconfirm(transaction_id)
        return JSONResponse({"transactionId": transaction_id})

    async def squeeze_out(self, request: Request) -> Response:
        """Drop a pooled transaction."""
        content = await read_object(request, set(), {"reason"})
        transaction_id = request.path_params["transaction"]
        reason = content.get("reason", "Transaction was dropped from the pool")
        self._devnet.chain.squeeze_out(transaction_id, str(reason))
        return JSONResponse({"transactionId": transaction_id})

    async def requests(self, _request: Request) -> Response:
        """Tell the last requests, and the counts since the last reset."""
        log = self._devnet.log
        records = [record.as_json() for record in log.records()]
        return JSONResponse({"counts": log.counts(), "requests": records})

    async def reset_requests(self, _request: Request) -> Response:
        """Begin to count anew."""
        self._devnet.log.reset()
        return JSONResponse(self._devnet.log.counts())


def _numbered(number: int, entry: Any) -> Any:
    try:
        return parse_balance(entry)
    except InvalidValueError as error:
        raise AdminError(400, f"balances[{number}]: {error}") from error


def _payment(content: dict[str, Any]) -> Payment:
    kind = _KINDS.get(content.get("output", "coin"))
    if kind is None:
        raise AdminError(400, f"output is one of {', '.join(_KINDS)}")
    sender = None if content.get("from") is None else _address(content, "from")
    asset_id = content["assetId"]
    if not isinstance(asset_id, str):
        raise AdminError(400, "assetId is a string")
    amount = read_amount(content["amount"])
    return Payment(sender, _address(content, "to"), parse_asset_id(asset_id), amount, kind)


def _address(content: dict[str, Any], name: str) -> Address:
    value = content[name]
    if not isinstance(value, str):
        raise AdminError(400, f"{name} is an address")
    return parse_address(value)


def _failure(content: dict[str, Any]) -> str | None:
    failure = content.get("failure")
    if failure is not None and not isinstance(failure, str):
        raise AdminError(400, "failure is the reason, a string")
    return failure


def _flag(content: dict[str, Any], name: str) -> bool:
    value = content.get(name, False)
    if not isinstance(value, bool):
        raise AdminError(400, f"{name} is true or false")
    return value
