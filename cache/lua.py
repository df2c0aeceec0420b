"""The Lua scripts: loaded once, named by file, each with the shared prelude in front."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Script:
    """One script as it is sent to the server."""

    name: str
    source: str
    digest: str


@cache
def script(name: str) -> Script:
    """Return the script of `scripts/{name}.lua`."""
    folder = resources.files("cache") / "scripts"
    prelude = (folder / "prelude.lua").read_text(encoding="utf-8")
    source = prelude + (folder / f"{name}.lua").read_text(encoding="utf-8")
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, digest)
