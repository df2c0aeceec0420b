"""The application: routes, errors, and the parts that live as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from api import balances, health, history, metrics, problems
from api.body_limit import BodyLimit
from api.context import Parts
from api.demo.routes import Payer, demo_router
from api.hot_answers import HotAnswers
from api.hot_path import HotPath
from api.internal import routes as internal
from api.internal.guard import Guard
from api.ops import routes as ops
from api.ops.overview import Overview
from api.prices import Prices
from api.registered import RegisteredPredicates
from api.sessions import Authentication
from api.streams import routes as streams_routes
from api.streams.open_streams import OpenStreams
from api.tracing import Tracing
from config.settings import Settings
from domain.lanes import LaneWatch
from domain.ports import TaskPublisher
from runtime.assembly import Runtime
from runtime.scrape import Door, Scraper
from telemetry.process import process_measures


class _Application(FastAPI):
    """Documents its errors as the problems that they are."""

    def openapi(self) -> dict[str, Any]:
        """Return the description of all routes."""
        schema = super().openapi()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = problems.Problem.model_json_schema()
        return schema


def create_app(
    settings: Settings,
    publisher: TaskPublisher | None = None,
    lanes: LaneWatch | None = None,
    payer: Payer | None = None,
) -> FastAPI:
    """Build the application; it opens its parts at start-up and closes them at the end.

    Args:
        settings: what the operator decided.
        publisher: hands tasks to the workers.
        lanes: tells what waits for them.
        payer: pays for the demo page; without one, or without `DEMO_PAGE`, there is no page.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        runtime = await Runtime.open(settings, process_measures())
        authentication = Authentication(runtime.sessions, runtime.registry)
        prices = Prices(runtime.quotes, runtime.prices)
        streams = OpenStreams(runtime, authentication, prices)
        scraper = Scraper(settings, runtime.vitals, lanes)
        try:
            app.state.parts = Parts(
                runtime=runtime,
                authentication=authentication,
                registered=RegisteredPredicates(runtime.registry, settings.registry_cache_seconds),
                prices=prices,
                hot=HotAnswers(runtime, prices),
                guard=Guard(settings, runtime.call_limit),
                streams=streams,
                publisher=publisher,
                door=Door(settings),
                scraper=scraper,
                overview=Overview(runtime, scraper),
            )
            yield
        finally:
            await streams.close()
            await runtime.close()

    app = _Application(
        title="balance-cache",
        description="Balances of Fuel vaults, correct and warm.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(HotPath)
    # Bako's web pages read from another origin than the API's. Reading alone: GET.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_allowed_origins,
        allow_methods=["GET"],
        allow_headers=["*"],
        expose_headers=["ETag", "Age", "Last-Modified", "Retry-After"],
    )
    app.add_middleware(Tracing)  # added last: the outermost
    app.include_router(balances.router)
    app.include_router(history.router)
    app.include_router(streams_routes.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(ops.router)
    app.include_router(internal.router)
    app.include_router(internal.open_router)
    if settings.demo_page and payer is not None:
        app.include_router(demo_router(payer))
    return app
