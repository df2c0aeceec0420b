"""The table of settings in the documents, made from the settings themselves.

``make docs`` writes it; a test fails when it is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from config.settings import Settings, environment_names
from domain.networks import Network

_HEADER = """# Configuration

Every setting is an environment variable, or a file of that name in `SECRETS_DIR`. A wrong value
stops the program with one line that names the variable, and exit code 2. `balance-cache config`
shows what is in effect and where it comes from, without secrets. `make docs` writes this page.

| variable | default | meaning |
|---|---|---|
"""


def settings_page() -> str:
    """Return the page, in Markdown."""
    rows = (
        f"| {_names(name)} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    )
    return _HEADER + "\n".join(rows) + "\n"


def _names(name: str) -> str:
    return ", or ".join(f"`{variable}`" for variable in environment_names(name))


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None or default == "":
        return "not set"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple) and default and isinstance(default[0], Network):
        return ", ".join(f"{network.name} ({network.chain_id})" for network in default)
    plain = isinstance(default, str | int | float | Path)
    return f"`{default if plain else json.dumps(default, default=str)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(settings_page())
