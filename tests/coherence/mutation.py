"""Breaks the scripts and the store one line at a time, and tells which breaks no test notices.

``python -m tests.coherence.mutation`` works on a copy of the project; docs/coherence.md explains
the survivors.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("cache", "domain", "supervisor", "config", "tests", "pyproject.toml")
_COPY = ("copies", "local_copy", "tracking_connection")
_PYTHON = ("judging", "publishing", "leases", "lives", "reading", "waiting", "hot", *_COPY)
_TESTS = (
    "tests/unit/cache/test_cache_lives.py",
    "tests/unit/cache/test_judging.py",
    "tests/contract/test_cache_contract.py",
    "tests/integration/test_cache_reading.py",
    "tests/integration/test_cache_drop_in.py",
    "tests/integration/test_cache_failures.py",
    "tests/coherence/test_explorer.py",
)
_SCHEDULE = ("tests/contract/test_refresh_schedule_contract.py",)
_COPY_TESTS = (
    "tests/unit/cache/test_copies.py",
    "tests/integration/test_cache_local_copy.py",
    "tests/coherence/test_copied.py",
)
_OWN_TESTS = {
    **dict.fromkeys(_COPY, _COPY_TESTS),
    "claim": _SCHEDULE,
    "settle": _SCHEDULE,
    "budget": ("tests/integration/test_provider_budget.py",),
    "follow_begin": ("tests/integration/test_follow_chain.py",),
    "follow_save": ("tests/integration/test_follow_chain.py",),
    "warm": ("tests/integration/test_tasks_warm_ups.py",),
}
"""The suites of what the others do not touch, by the names of the files."""

_CHOSEN = (
    "not memory and not twin and not before_ours and not thousand and not full and not [two"
    " and not [lease and not without_redis and not drawn and not hung"
)
_SECONDS = 400

_LUA_STATEMENT = re.compile(r"^\s*(redis\.call|drop_lease|expect_type)\(.*\)\s*$")
_SWAPS = (
    (" == ", " ~= "),
    (" ~= ", " == "),
    (" > ", " >= "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" >= ", " > "),
    (" and ", " or "),
    (" or ", " and "),
    ("math.max", "math.min"),
    ("max(", "min("),
    ("not ", ""),
    (" + 1", " + 2"),
    ("'NX', ", ""),
    ("'XX', ", ""),
)


@dataclass(frozen=True)
class Mutant:
    """One changed line."""

    path: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before.strip()}  →  {self.after.strip() or '-'}"


def mutants(root: Path) -> Iterator[Mutant]:
    """List every single change that the operators know."""
    paths = sorted((root / "cache" / "scripts").glob("*.lua"))
    paths += [root / "cache" / f"{name}.py" for name in _PYTHON]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        code = re.sub(r'""".*?"""', lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)
        comment = "--" if path.suffix == ".lua" else "#"
        for number, line in enumerate(code.splitlines(), start=1):
            if line.strip() and not line.strip().startswith((comment, "import", "from")):
                name = str(path.relative_to(root))
                yield from (Mutant(name, number, line, after) for after in _changes(path, line))


def _changes(path: Path, line: str) -> Iterator[str]:
    if path.suffix == ".lua" and _LUA_STATEMENT.match(line):
        yield ""
    for old, new in _SWAPS:
        if "~= " in new and path.suffix == ".py":
            continue
        if old in line:
            yield line.replace(old, new, 1)


def verdict(copy: Path, path: str) -> str:
    """Tell what the tests of this file say of the copy: killed, survived or unknown."""
    tests = _OWN_TESTS.get(Path(path).stem, _TESTS)
    try:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "--timeout", "60"),
                *("-p", "no:cacheprovider", "-k", _CHOSEN, *tests),
            ],
            cwd=copy,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "unknown"  # a busy machine is no proof
    return "survived" if found.returncode == 0 else "killed"


def judge(mutant: Mutant, copy: Path) -> str:
    """Tell what the tests say of one change."""
    target = copy / mutant.path
    original = target.read_text(encoding="utf-8")
    lines = original.splitlines(keepends=True)
    lines[mutant.line - 1] = mutant.after + "\n"
    target.write_text("".join(lines), encoding="utf-8")
    try:
        return verdict(copy, mutant.path)
    finally:
        target.write_text(original, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--only", default="", help="mutate files whose path contains this")
    only = parser.parse_args().only
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        copy = Path(name)
        for part in _COPIED:
            source = _ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / part)
        chosen = [mutant for mutant in mutants(copy) if only in mutant.path]
        for path in {
            _OWN_TESTS.get(Path(one.path).stem, _TESTS): one.path for one in chosen
        }.values():
            if verdict(copy, path) != "survived":
                sys.stderr.write(f"the tests of {path} fail without any change\n")
                return 1
        for mutant in chosen:
            told = judge(mutant, copy)
            verdicts[told] += 1
            if told != "killed":
                sys.stdout.write(f"{told} {mutant}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{verdicts.total()} mutants: {dict(verdicts)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
