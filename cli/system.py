"""The whole system as separate processes on loopback: what `demo` and `up` start.

Services that the environment names are used; embedded ones stand in for those that it does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import sample
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import httpx

import tasks
from cli.children import Child, Children
from cli.errors import ChildEndedError
from config.settings import Settings
from domain.networks import Network
from supervisor.ports import free_port, is_listening
from supervisor.valkey import BROKER_POLICY, EmbeddedServer

SIMULATED_NETWORKS = ((9889, "mainnet (simulated)"), (0, "testnet (simulated)"))
"""Chain ids and names of the simulated networks: Fuel's own, 0 included."""

_INVENTED_CHAIN_IDS = range(1_000_000_000, 2_000_000_000)

NODE_LATENCY_MS = 500
"""How long a simulated node takes for a request: what the design started from."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated network and its node."""

    chain_id: int
    name: str
    port: int

    @property
    def origin(self) -> str:
        """Where the node listens; administration is under ``/devnet/``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def network(self) -> Network:
        """The entry of the allow-list."""
        return Network(self.chain_id, self.name, (f"{self.origin}/v1/graphql",))


@dataclass
class System:
    """The running system: `with System(settings) as system: …`.

    Attributes:
        given: what the environment says.
        overrides: further variables for all programs (short lives for the demo).
        simulate: start simulated nodes, whatever FUEL_NETWORKS says.
        environment: what the programs get beyond our own environment.
        settings: what the programs make of it.
    """

    given: Settings
    overrides: Mapping[str, str] = field(default_factory=dict)
    simulate: bool = True
    simulations: tuple[Simulation, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    settings: Settings = field(init=False)
    children: Children = field(init=False)
    _nodes: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="balance-cache-")))
            self.children = Children(directory)
            self.environment = {**self.overrides, **self._services(stack, directory)}
            stack.callback(self.children.stop)
            if self.simulate:
                self._start_nodes()
            self.settings = _settings_of(self.environment)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _networks(self) -> Iterable[tuple[int, str]]:
        """Return the simulated networks.

        In a cache that was given, chain ids that nobody else has: what simulated nodes tell must
        never stand where balances of a real chain are looked for.
        """
        if "redis_url" not in self.given.model_fields_set:
            return SIMULATED_NETWORKS
        ids = sample(_INVENTED_CHAIN_IDS, len(SIMULATED_NETWORKS))
        return [
            (chain_id, name) for chain_id, (_, name) in zip(ids, SIMULATED_NETWORKS, strict=True)
        ]

    def _services(self, stack: ExitStack, directory: Path) -> dict[str, str]:
        """Return the addresses of cache, broker and database, embedded where none is given."""
        named = self.given.model_fields_set
        services = {}
        if "redis_url" not in named:
            cache = EmbeddedServer.start()
            stack.callback(cache.stop)
            services["REDIS_URL"] = cache.url()
        if "celery_broker_url" not in named:
            broker = EmbeddedServer.start(policy=BROKER_POLICY)
            stack.callback(broker.stop)
            services["CELERY_BROKER_URL"] = broker.url()
        if "database_url" not in named:
            services["DATABASE_URL"] = f"sqlite:///{directory / 'registry.sqlite3'}"
        return services

    def _start_nodes(self) -> None:
        self.simulations = tuple(
            Simulation(chain_id, name, free_port()) for chain_id, name in self._networks()
        )
        for simulation in self.simulations:
            arguments = ["devnet", "--port", str(simulation.port)]
            arguments += ["--chain-id", str(simulation.chain_id)]
            arguments += ["--chain-name", simulation.name, "--latency-ms", str(NODE_LATENCY_MS)]
            name = f"devnet-{simulation.chain_id}"
            self._nodes.append(self.children.start(name, arguments, {}))
        self.environment["FUEL_NETWORKS"] = json.dumps(
            [
                {"chainId": s.chain_id, "name": s.name, "urls": list(s.network.urls)}
                for s in self.simulations
            ]
        )

    def wait_for_nodes(self) -> None:
        """Wait until the simulated nodes listen.

        Raises:
            ChildEndedError: one of them ended.
        """
        for child, simulation in zip(self._nodes, self.simulations, strict=True):
            self.children.wait_ready(child, partial(is_listening, simulation.port))

    def start_worker(self) -> Child:
        """Start a worker of all lanes with two processes; consuming when it says so."""
        return self._start_celery("worker", "worker", "--concurrency", "2", "--without-mingle")

    def start_beat(self) -> Child:
        """Start beat; its memory of last runs goes with the system's directory."""
        return self._start_celery("beat", "beat", "--schedule", "beat-schedule")

    def start_flower(self, port: int) -> Child:
        """Start Flower on loopback: a demo's needs no password, unless one is set."""
        preset = Path(tasks.__file__).with_name("flowerconfig.py")
        return self._start_celery(
            "flower",
            *("flower", "--address=127.0.0.1", f"--port={port}", f"--conf={preset}"),
            FLOWER_WITHOUT_PASSWORD="true",  # noqa: S106 - a switch, no password
        )

    def _start_celery(self, name: str, *arguments: str, **environment: str) -> Child:
        return self.children.start(
            name, ["celery", "-A", "tasks", *arguments], {**self.environment, **environment}
        )

    def start_api(self, name: str, port: int, **environment: str) -> Child:
        """Start the read API."""
        address = {"API_HOST": "127.0.0.1", "API_PORT": str(port)}
        return self.children.start(
            name, ["cli.main", "api"], {**self.environment, **address, **environment}
        )


def wait_consuming(children: Children, worker: Child) -> None:
    """Wait until the worker consumes tasks."""
    children.wait_ready(worker, lambda: "worker.ready" in worker.log_text())


def wait_answering(children: Children, child: Child, url: str) -> None:
    """Wait until a program answers 200 at this address.

    Raises:
        ChildEndedError: it does not in time; what it answered instead is in the message.
    """
    said = "nothing"

    def answers() -> bool:
        nonlocal said
        try:
            response = client.get(url)
        except httpx.HTTPError as error:
            said = str(error)
            return False
        said = response.text
        return response.status_code == httpx.codes.OK

    with httpx.Client(timeout=10.0) as client:
        try:
            children.wait_ready(child, answers)
        except ChildEndedError as error:
            raise ChildEndedError(f"{error}\n  {url} said: {said}") from None


def _settings_of(environment: Mapping[str, str]) -> Settings:
    """Return what a child with these variables reads; ours are read for the rest."""
    named: dict[str, Any] = {
        name if name == "REDIS_URL" else name.lower(): value for name, value in environment.items()
    }
    return Settings(**named)
