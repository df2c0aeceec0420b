"""Accounts from a JSON file: what they own from the beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devnet.chain import AccountBalance
from domain.errors import ConfigurationError, InvalidValueError
from domain.values import check_amount, parse_address, parse_amount, parse_asset_id


def parse_balance(entry: Any) -> AccountBalance:
    """Return a balance out of ``{"owner": …, "assetId": …, "amount": …}``.

    Amounts are decimal strings, or whole numbers.

    Raises:
        InvalidValueError: an entry is absent, unknown, or in no valid form.
    """
    if not isinstance(entry, dict) or set(entry) != {"owner", "assetId", "amount"}:
        raise InvalidValueError("a balance has exactly owner, assetId and amount")
    owner, asset_id, amount = entry["owner"], entry["assetId"], entry["amount"]
    if not isinstance(owner, str) or not isinstance(asset_id, str):
        raise InvalidValueError("owner and assetId are strings")
    return AccountBalance(parse_address(owner), parse_asset_id(asset_id), read_amount(amount))


def read_amount(value: object) -> int:
    """Return an amount that is a decimal string or a whole number.

    Raises:
        InvalidValueError: it is neither, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidValueError(f"not an amount: {value!r}")
    return parse_amount(value) if isinstance(value, str) else check_amount(value)


def load_balances(path: Path) -> list[AccountBalance]:
    """Return the balances of a state file: ``{"balances": [{"owner", "assetId", "amount"}]}``.

    Raises:
        ConfigurationError: there is no such file, or it is in no valid form; names the entry.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"devnet: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"devnet: {path} is not JSON: {error}") from error
    entries = content.get("balances") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ConfigurationError(f'devnet: {path} is not of the form {{"balances": […]}}')
    balances = []
    for number, entry in enumerate(entries):
        try:
            balances.append(parse_balance(entry))
        except InvalidValueError as error:
            raise ConfigurationError(f"devnet: {path}: balances[{number}]: {error}") from error
    return balances
