"""The shell blocks of the documents, and what stands above each: where it runs, or why not.

A comment directly above a block says it: ``<!-- runs: NAME -->`` names the scene of the tests in
which it is run, ``<!-- not run: WHY -->`` says why no test can.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "README.pt.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
_FENCED = re.compile(
    r"(?:^<!-- (?P<how>runs|not run): (?P<what>[^\n]+?) -->\n)?^```(?:sh|bash|shell|console)\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(
    r"(?:^<!-- (?P<how>runs|not run): (?P<what>[^\n]+?) -->\n\n?)?(?P<text>(?:^    [^\n]+\n)+)",
    re.MULTILINE,
)
_COMMANDS = (
    "balance-cache ",
    "celery ",
    "make ",
    "python ",
    "docker ",
    "kubectl ",
    "curl ",
    "export ",
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        page: where it stands.
        text: the commands.
        how: runs or not run; None: nothing is said.
        what: the scene, or the reason.
    """

    page: Path
    text: str
    how: str | None
    what: str

    @property
    def commands(self) -> Sequence[str]:
        """Return its lines without comments and blank ones, continued lines joined."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """Return all shell blocks of a page, fenced or indented, in order."""
    text = page.read_text(encoding="utf-8")
    found = [(m.start(), _block(page, m)) for m in _FENCED.finditer(text)]
    plain = re.sub(r"^```.*?^```$", lambda m: " " * len(m[0]), text, flags=re.MULTILINE | re.DOTALL)
    for match in _INDENTED.finditer(plain):
        block = _block(page, match)
        if any(line.startswith(_COMMANDS) for line in block.commands):
            found.append((match.start(), block))
    return [block for _, block in sorted(found, key=lambda pair: pair[0])]


def _block(page: Path, match: re.Match[str]) -> Block:
    text = "\n".join(line.removeprefix("    ") for line in match["text"].splitlines())
    return Block(page, text, match["how"], match["what"] or "")


def scene(name: str) -> list[Block]:
    """Return the blocks that are run in one scene, in the order of the pages.

    A test that asks for a scene that no page knows would prove nothing.
    """
    found = [b for page in PAGES if page.exists() for b in blocks(page) if b.what == name]
    assert found, f"no page has a block of the scene {name!r}"
    return found
