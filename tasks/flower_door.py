"""Flower starts with a password or not at all: whoever sees it can end workers and revoke tasks.

Among the modules that the application includes: Flower imports them before it opens its port,
however it was started.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import structlog
from tornado.options import options

from config.settings import current_settings

_log = structlog.get_logger("tasks")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def trouble(
    *, logins: Sequence[str], oauth: str, address: str, unix_socket: str, without_password: bool
) -> str | None:
    """Return why Flower must not start, None when it may.

    Without a password it may only where that was asked for, and only for this machine.
    """
    for login in logins:
        user, _, password = login.partition(":")
        if not user or not password:
            return "FLOWER_BASIC_AUTH: expected user:password, several separated by commas"
    if logins or oauth:
        return None
    if not without_password:
        return (
            "FLOWER_BASIC_AUTH is not set: Flower lets everybody end workers and revoke tasks. "
            "Set it to user:password"
        )
    if not unix_socket and address not in _LOOPBACK:
        return "FLOWER_WITHOUT_PASSWORD: only with --address=127.0.0.1"
    return None


def _is_flower() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "flower"


def _refuse_open_door() -> None:
    why = trouble(
        logins=options.basic_auth or (),
        oauth=options.auth,
        address=options.address,
        unix_socket=options.unix_socket,
        without_password=current_settings().flower_without_password,
    )
    if why is not None:
        sys.stderr.write(f"balance-cache: {why}\n")
        raise SystemExit(2)


if _is_flower():
    _refuse_open_door()
