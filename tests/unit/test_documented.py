"""What an operator can set is in the documents."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from config.reference import settings_page
from config.settings import Settings

ROOT = Path(__file__).parents[2]


def test_every_setting_says_what_it_means() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]

    assert undescribed == []


def test_the_page_of_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert page == settings_page(), "run `make docs`"


def test_every_test_that_a_document_names_exists() -> None:
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    } | {path.name for path in (ROOT / "tests").rglob("*.py")}

    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        (document.name, test)
        for document in documents
        for test in re.findall(r"\btest_\w+(?:\.py)?", document.read_text(encoding="utf-8"))
    }

    assert [name for name in sorted(named) if name[1] not in tests] == []
    assert len({test for document, test in named if document == "bako.md"}) > 80
