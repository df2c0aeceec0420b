"""One log pipeline for worker, beat, API and command line.

An event has a constant name; what varies goes into fields. Credentials inside URLs are removed
from every line here, whoever wrote it, because libraries log addresses too.
"""

from __future__ import annotations

import logging
import re
import sys

import structlog

_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^/\s@'\"]+@", re.IGNORECASE)


def without_userinfo(text: str) -> str:
    """Return the text with ``user:password@`` removed from each URL in it."""
    if "://" not in text:  # looking for one costs as much as writing the line
        return text
    return _USERINFO.sub(r"\g<scheme>", text)


class _SafeFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a line, then removes credentials from the whole of it, traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_userinfo(super().format(record))


def configure_logging(level: str, *, as_json: bool = True) -> None:
    """Send every log line of this process to standard error in one form.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        as_json: one JSON object a line; False gives lines for people.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _SafeFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # One line a node request is noise, and the address in it may carry credentials.
    logging.getLogger("httpx").setLevel(max(logging.WARNING, root.level))
