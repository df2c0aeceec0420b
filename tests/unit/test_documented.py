"""What an operator can set is in the documents."""

from __future__ import annotations

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
