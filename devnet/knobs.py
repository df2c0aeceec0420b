"""Knobs that are turned while the devnet runs: faults, latency, the nodes' lags."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devnet.faults import PARAMETERS, Fault, FaultKind
from devnet.latency import Distribution, Latency
from devnet.node import Node
from devnet.problems import AdminError, read_object
from devnet.state import Devnet

_FAULT_ENTRIES = {
    "probability": float,
    "count": int,
    "after": int,
    "node": int,
    "operation": str,
}
_LATENCY_ENTRIES = {
    "distribution": str,
    "milliseconds": float,
    "mostMilliseconds": float,
    "sigma": float,
    "seed": int,
}
_NODE_ENTRIES = {
    "lag": int,
    "offChainLag": int,
    "offChainDelayMs": float,
    "indexation": bool,
}
_TYPE_NAMES = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}


class Knobs:
    """Handlers of the requests that turn knobs."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet = devnet

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/faults", self.faults, methods=["GET"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/faults/{number:int}", self.remove_fault, methods=["DELETE"]),
            Route("/latency", self.set_latency, methods=["POST"]),
            Route("/nodes/{number:int}", self.set_node, methods=["POST"]),
        ]

    async def faults(self, _request: Request) -> Response:
        """Tell which faults are set, and how often each struck."""
        return JSONResponse({"faults": [fault.as_json() for fault in self._devnet.faults.all()]})

    async def add_fault(self, request: Request) -> Response:
        """Set a fault."""
        parameters = {name for defaults in PARAMETERS.values() for name in defaults}
        content = await read_object(request, {"kind"}, _FAULT_ENTRIES.keys() | parameters)
        given = _typed(content, _FAULT_ENTRIES)
        fault = Fault(
            kind=FaultKind(_choice(content["kind"], FaultKind)),
            parameters={name: content[name] for name in parameters & set(content)},
            **given,
        )
        return JSONResponse(self._devnet.faults.add(fault).as_json(), 201)

    async def clear_faults(self, _request: Request) -> Response:
        """Remove all faults."""
        self._devnet.faults.clear()
        return JSONResponse({"faults": []})

    async def remove_fault(self, request: Request) -> Response:
        """Remove one fault."""
        number = request.path_params["number"]
        if not self._devnet.faults.remove(number):
            raise AdminError(404, f"no fault {number}")
        return JSONResponse({"id": number})

    async def set_latency(self, request: Request) -> Response:
        """Say how long requests take from now on."""
        content = await read_object(request, {"milliseconds"}, _LATENCY_ENTRIES.keys())
        given = _typed(content, _LATENCY_ENTRIES)
        distribution = Distribution(_choice(given.get("distribution", "fixed"), Distribution))
        self._devnet.latency = Latency(
            distribution=distribution,
            milliseconds=given["milliseconds"],
            most_milliseconds=given.get("mostMilliseconds", given["milliseconds"]),
            sigma=given.get("sigma", 0.5),
            seed=given.get("seed", 0),
        )
        return JSONResponse(content)

    async def set_node(self, request: Request) -> Response:
        """Say how far a node is behind from now on."""
        content = await read_object(request, set(), _NODE_ENTRIES.keys())
        node = self._devnet.nodes.get(request.path_params["number"])
        if node is None:
            raise AdminError(404, f"no node {request.path_params['number']}")
        given = _typed(content, _NODE_ENTRIES)
        for name, value in given.items():
            if value < 0:
                raise AdminError(400, f"{name} is not negative")
        _turn(node, given)
        return JSONResponse(content)


def _turn(node: Node, given: dict[str, Any]) -> None:
    node.lag = given.get("lag", node.lag)
    node.off_chain_lag = given.get("offChainLag", node.off_chain_lag)
    node.off_chain_delay_ms = given.get("offChainDelayMs", node.off_chain_delay_ms)
    node.indexation = given.get("indexation", node.indexation)


def _choice(value: object, kinds: type[FaultKind | Distribution]) -> str:
    names = [kind.value for kind in kinds]
    if not isinstance(value, str) or value not in names:
        raise AdminError(400, f"{value!r} is none of {', '.join(names)}")
    return value


def _typed(content: dict[str, Any], entries: dict[str, type]) -> dict[str, Any]:
    """Return the entries that are given, each of its type."""
    given = {name: content[name] for name in entries if content.get(name) is not None}
    for name, value in given.items():
        expected = (int, float) if entries[name] is float else entries[name]
        if not isinstance(value, expected) or isinstance(value, bool) is not (
            entries[name] is bool
        ):
            raise AdminError(400, f"{name} is {_TYPE_NAMES[entries[name]]}")
    return given
