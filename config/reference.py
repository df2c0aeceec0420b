"""The table of settings in the documents, made from the settings themselves.

``make docs`` writes it; a test fails when it is out of date.
"""

from __future__ import annotations

import json
import sys

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from config.settings import Settings
from domain.networks import Network

_HEADER = """# Configuration

Every setting is an environment variable; nothing else is read. A wrong value stops the program
with one line that names the variable, and exit code 2. `balance-cache config` shows what is in
effect, without secrets. This page is written by `make docs`.

| variable | default | meaning |
|---|---|---|
"""


def environment_names(name: str, field: FieldInfo) -> list[str]:
    """Return the variables that a setting is read from, the one that wins first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [name.upper()]


def settings_page() -> str:
    """Return the page, in Markdown."""
    rows = (
        f"| {_names(name, field)} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    )
    return _HEADER + "\n".join(rows) + "\n"


def _names(name: str, field: FieldInfo) -> str:
    return ", or ".join(f"`{variable}`" for variable in environment_names(name, field))


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default == "":
        return "not set"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple) and default and isinstance(default[0], Network):
        return ", ".join(f"{network.name} ({network.chain_id})" for network in default)
    plain = isinstance(default, str | int | float)
    return f"`{default if plain else json.dumps(default, default=str)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(settings_page())
