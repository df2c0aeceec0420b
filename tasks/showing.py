"""How arguments of tasks are shown to people: in Flower, in logs, by ``celery inspect``."""

from __future__ import annotations

import re

from config.logging import without_userinfo

_LONG_HEX = re.compile(r"0x[0-9a-fA-F]{40,}")
_MOST = 400


def shown(text: str) -> str:
    """Return arguments in short: long hex values by their ends, no credentials, not too much."""
    short = _LONG_HEX.sub(lambda found: f"{found[0][:8]}…{found[0][-4:]}", without_userinfo(text))
    return short if len(short) <= _MOST else f"{short[:_MOST]}…"
