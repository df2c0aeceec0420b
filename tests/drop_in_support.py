"""Bako's keys of one vault, and a value as its TypeScript writes it."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.cache_support import ALICE, MAINNET, URL, asset

VALUE = f"balance:{ALICE}:{MAINNET}"
FLAG = f"balance:invalidated:{ALICE}:{MAINNET}"
GLOBAL_FLAG = f"balance:invalidated:{ALICE}"
HOUR_MS = 3_600_000


def bako_value(amount: str = "0x5", timestamp: int | None = None, **changes: Any) -> str:
    value = {
        "balances": [{"assetId": asset(1), "amount": amount}],
        "timestamp": int(time.time() * 1000) if timestamp is None else timestamp,
        "chainId": MAINNET,
        "networkUrl": URL,
    }
    return json.dumps(value | changes, separators=(",", ":"))
