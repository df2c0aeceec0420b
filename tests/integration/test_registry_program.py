"""`python -m registry`: what an operator does to a database, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.process_support import clean_environment


def _run(action: str, database_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "registry", action],
        env=clean_environment({"DATABASE_URL": database_url}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        return {row[0] for row in rows if row[0].startswith("balance_cache_idx")}


def test_the_schema_is_created_and_indexes_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "bako.sqlite3"
    url = f"sqlite:///{path}"

    assert _run("create-schema", url).returncode == 0
    assert _run("create-schema", url).returncode == 0
    assert _indexes(path) == set()
    assert _run("add-indexes", url).returncode == 0
    assert _indexes(path) == {"balance_cache_idx_user_tokens_token"}
    assert _run("remove-indexes", url).returncode == 0
    assert _indexes(path) == set()


def test_a_failure_is_one_line_without_the_password(tmp_path: Path) -> None:
    for action, url in (
        ("add-indexes", f"sqlite:///{tmp_path}/empty.sqlite3"),
        ("add-indexes", "postgresql://user:geheim@127.0.0.1:9/bako"),
        ("create-schema", "mysql://user:geheim@127.0.0.1/bako"),
    ):
        done = _run(action, url)
        assert done.returncode == 2, (action, url, done.stderr)
        [line] = done.stderr.splitlines()
        assert line.startswith("registry: ")
        assert "geheim" not in line
