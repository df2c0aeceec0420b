"""What a broker's absence or refusal is raised as, by whichever library meets it."""

from __future__ import annotations

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

UNANSWERED = (KombuError, OSError, AMQPError)
"""kombu passes RabbitMQ's refusals on as they are, for example of a queue while it starts."""
