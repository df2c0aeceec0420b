"""Breaks the scripts and the store one line at a time, and tells which breaks no test notices.

``python -m tests.coherence.mutation`` works on copies of the project; docs/coherence.md explains
the survivors.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.coherence.forked_tests import run_tests
from tests.coherence.mutation_suites import Suite, suite_of

_ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(".*", "docs", "deploy", "node_modules")
_PYTHON = (
    *("judging", "publishing", "leases", "lives", "reading", "waiting", "hot"),
    *("copies", "local_copy", "tracking_connection", "memory", "memory_hot"),
)
_SECONDS = 400
_NOTICED = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
"""A test failed, or what is changed could not even be imported."""
_TEST_SECONDS = 60

_CALL = re.compile(r"^\s*(await )?[\w.]+\(.*\)$")
_LUA_BLOCK = re.compile(r"^\s*(if|for) .* (then|do) .* end$")
_SWAPS = (
    (" == ", " ~= "),
    (" ~= ", " == "),
    (" == ", " != "),
    (" != ", " == "),
    (" > ", " >= "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" >= ", " > "),
    (" and ", " or "),
    (" or ", " and "),
    ("max(", "min("),
    ("min(", "max("),
    ("not ", ""),
    (" is not ", " is "),
    (" + 1", " + 2"),
    (" + ", " - "),
    (" - ", " + "),
    (" = True", " = False"),
    (" = False", " = True"),
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

    @property
    def suite(self) -> Suite:
        return suite_of(Path(self.path).stem)

    def applied_to(self, text: str) -> str:
        """Return the file's text with this change."""
        lines = text.splitlines(keepends=True)
        lines[self.line - 1] = self.after + "\n"
        return "".join(lines)


def _is_python(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


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
                for after in dict.fromkeys(_changes(line, is_lua=path.suffix == ".lua")):
                    mutant = Mutant(name, number, line, after)
                    if path.suffix == ".lua" or _is_python(mutant.applied_to(text)):
                        yield mutant


def _changes(line: str, *, is_lua: bool) -> Iterator[str]:
    if _CALL.match(line):
        yield "" if is_lua else re.sub(r"\S.*", "pass", line)
    elif is_lua and _LUA_BLOCK.match(line):
        yield ""
    end = len(line.split(" -- " if is_lua else "  # ", maxsplit=1)[0])  # a comment is no code
    for old, new in _SWAPS:
        if ("!= " if is_lua else "~= ") not in new:
            for found in re.finditer(re.escape(old), line[:end]):
                yield line[: found.start()] + new + line[found.end() :]


def verdict(copy: Path, suite: Suite) -> str:
    """Tell what the tests say of the copy: killed, survived, hung or unknown."""
    # File by file: most mutants die in the first, and only what is run has to be imported.
    for name in suite.tests:
        found = run_tests(
            copy, ("-x", "-q", "--timeout", str(_TEST_SECONDS), "-k", suite.chosen, name), _SECONDS
        )
        if found is None:
            return "unknown"  # a busy machine is no proof
        code, printed = found
        if code in _NOTICED:
            return "hung" if b"+ Timeout +" in printed else "killed"
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return "unknown"  # pytest itself failed
    return "survived"


def judge(mutant: Mutant, copy: Path) -> str:
    """Tell what the tests say of one change."""
    target = copy / mutant.path
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.applied_to(original), encoding="utf-8")
    try:
        return verdict(copy, mutant.suite)
    finally:
        target.write_text(original, encoding="utf-8")


@contextmanager
def _copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """Give copies of the project: an edit meanwhile must not disturb the run."""
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        for number in range(count):
            copy = Path(name) / str(number)
            shutil.copytree(_ROOT, copy, ignore=_LEFT_OUT)
            copies.put(copy)
        yield copies


def run(chosen: Sequence[Mutant], at_once: int) -> Iterator[tuple[Mutant, str]]:
    """Judge each mutant, in order.

    Raises:
        SystemExit: tests fail without any change.
    """
    with _copies(at_once) as copies, ThreadPoolExecutor(at_once) as workers:

        def told(mutant: Mutant | Suite) -> str:
            copy = copies.get()
            try:
                if isinstance(mutant, Suite):
                    return verdict(copy, mutant)
                return judge(mutant, copy)
            finally:
                copies.put(copy)

        suites = list(dict.fromkeys(mutant.suite for mutant in chosen))
        for suite, found in zip(suites, workers.map(told, suites), strict=True):
            if found != "survived":
                raise SystemExit(f"without any change {found}: {' '.join(suite.tests)}")
        yield from zip(chosen, workers.map(told, chosen), strict=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--only", default="", help="mutate files whose path contains this")
    parser.add_argument("--at-once", type=int, default=1, help="so many mutants at a time")
    given = parser.parse_args()
    verdicts: Counter[str] = Counter()
    chosen = [mutant for mutant in mutants(_ROOT) if given.only in mutant.path]
    for mutant, told in run(chosen, given.at_once):
        verdicts[told] += 1
        if told != "killed":
            sys.stdout.write(f"{told} {mutant}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{verdicts.total()} mutants: {dict(verdicts)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
