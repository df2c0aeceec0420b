"""The Celery application. Importing it opens no connection and reads no environment."""

from __future__ import annotations

from typing import Any

import click
from celery import Celery

from config.settings import current_settings
from domain.errors import ConfigurationError
from tasks.settings import celery_configuration


class UnusableConfigurationError(click.ClickException, ConfigurationError):
    """A wrong variable, told the way of Celery's command line: one line and exit code 2."""

    exit_code = 2


def _configuration() -> dict[str, Any]:
    try:
        return celery_configuration(current_settings())
    except ConfigurationError as error:
        raise UnusableConfigurationError(str(error)) from None


app = Celery(
    "balance-cache",
    include=[
        "tasks.lifecycle",
        "tasks.event_gathering",
        "tasks.flower_door",
        "tasks.measuring",
        "tasks.metrics_listener",
        "tasks.warm_up",
        "tasks.invalidation",
        "tasks.refresh",
        "tasks.beat_watch",
        "tasks.follow",
        "tasks.everything",
        "tasks.prices",
        "tasks.audit",
        "tasks.keep",
        "tasks.replies",
        "tasks.watchdog",
    ],
)
# A promise: Celery calls it when the configuration is first needed.
app.add_defaults(_configuration)
