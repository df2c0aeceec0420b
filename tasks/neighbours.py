"""Who else works at a broker."""

from __future__ import annotations

from collections.abc import Sequence

from celery import Celery

from config.settings import Settings
from domain.errors import ConfigurationError
from tasks.settings import celery_configuration
from tasks.unanswered import UNANSWERED

_ANSWER_SECONDS = 1.0
_CONNECT_SECONDS = 3


def workers_at_the_broker(settings: Settings) -> Sequence[str]:
    """Return the names of the workers that answer there now.

    Raises:
        ConfigurationError: the broker does not answer.
    """
    app = Celery("balance-cache-neighbours", set_as_current=False)
    app.config_from_object(celery_configuration(settings))
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=_CONNECT_SECONDS)
            answers = app.control.ping(timeout=_ANSWER_SECONDS, connection=connection)
    except UNANSWERED as error:
        raise ConfigurationError(
            f"CELERY_BROKER_URL: the broker does not answer ({type(error).__name__})"
        ) from None
    finally:
        app.close()
    return sorted(name for answer in answers or () for name in answer)
