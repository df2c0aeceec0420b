from __future__ import annotations

import pytest

from domain.errors import ConfigurationError
from registry.engine import asyncio_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@db:5432/bako", "postgresql+asyncpg://u:p@db:5432/bako"),
        ("postgres://u:p@db/bako", "postgresql+asyncpg://u:p@db/bako"),
        (
            "postgresql://u:p@db/bako?sslmode=require",
            "postgresql+asyncpg://u:p@db/bako?ssl=require",
        ),
        ("postgresql+asyncpg://db/bako", "postgresql+asyncpg://db/bako"),
        ("sqlite:///bako.sqlite3", "sqlite+aiosqlite:///bako.sqlite3"),
        ("sqlite://", "sqlite+aiosqlite://"),
    ],
)
def test_urls_of_bakos_kind_get_our_driver(given: str, expected: str) -> None:
    assert asyncio_url(given).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "given", ["", "bako", "mysql://u:geheim@db/bako", "postgresql+psycopg://db"]
)
def test_other_urls_are_refused_without_repeating_them(given: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        asyncio_url(given)
    assert "geheim" not in str(caught.value)
