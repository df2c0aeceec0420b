"""Settings: documented, checked, and refused in one line that names the variable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.settings import Settings, load_settings, origin, parse_networks
from domain.errors import ConfigurationError, InvalidValueError, UnknownNetworkError

MAINNET = {"chainId": 9889, "name": "mainnet", "urls": ["https://user:secret@one.example/v1"]}
TESTNET = {"chainId": 0, "name": "testnet", "urls": ["https://two.example/v1/graphql"]}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REDIS_URL_WRITE", raising=False)


def test_the_defaults_are_the_documents() -> None:
    settings = load_settings()

    assert settings.balance_cache_ttl == 600
    assert settings.balance_invalidation_ttl == 3600
    assert settings.enable_balance_cache
    assert settings.chain_ids == (9889, 0)


def test_bakos_name_for_the_redis_address_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL_WRITE", "redis://bako:6379")

    assert load_settings().redis_url == "redis://bako:6379"


def test_bakos_names_and_defaults_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    bakos: dict[str, tuple[object, str, object]] = {
        "ENABLE_BALANCE_CACHE": (True, "false", False),
        "BALANCE_CACHE_TTL": (600, "300", 300),  # the default is the document's
        "BALANCE_INVALIDATION_TTL": (3600, "60", 60),
        "WARMUP_ENABLED": (True, "false", False),
        "WARMUP_CONCURRENCY": (5, "9", 9),
        "WARMUP_MAX_PREDICATES": (20, "7", 7),
        "WARMUP_SKIP_CACHED": (True, "false", False),
        "TRANSACTION_CACHE_TTL": (600, "30", 30),
        "INTERNAL_API_KEY": (None, "key", SecretStr("key")),
    }
    found = load_settings()
    assert {name: getattr(found, name.lower()) for name in bakos} == {
        name: default for name, (default, _, _) in bakos.items()
    }

    for name, (_, text, _) in bakos.items():
        monkeypatch.setenv(name, text)
    found = load_settings()
    assert {name: getattr(found, name.lower()) for name in bakos} == {
        name: value for name, (_, _, value) in bakos.items()
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BALANCE_CACHE_TTL", "soon"),
        ("BALANCE_CACHE_TTL", "0"),
        ("BALANCE_CACHE_TTL", "-1"),
        ("WARMUP_MAX_PREDICATES", "NaN"),
        ("NODE_TIMEOUT_SECONDS", "nan"),
        ("ENABLE_BALANCE_CACHE", "perhaps"),
        ("API_PORT", "70000"),
        ("LOG_LEVEL", "LOUD"),
        ("REDIS_URL", "cache.internal:6379"),
        ("REDIS_URL", "http://cache.internal"),
        ("REDIS_URL", "redis://cache.internal:port/0"),
        ("REDIS_URL", "redis://"),
        ("SHADOW_REDIS_URL", "bako.internal:6379"),
        ("SHADOW_REDIS_URL", "redis://"),
        ("CELERY_BROKER_URL", "kafka://broker.internal"),
        ("CELERY_BROKER_URL", "amqp://guest:guest@broker.internal:99999//"),
        ("CELERY_BROKER_URL", "redis://broker.internal/0\n"),
        ("DATABASE_URL", "mysql://db.internal/bako"),
        ("DATABASE_URL", "bako.sqlite3"),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "urls": ["http://one.example:port/"]}])),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "urls": ["http://[::1/"]}])),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "urls": ["http://one.example/\x01"]}])),
        ("FUEL_NETWORKS", "mainnet"),
        ("FUEL_NETWORKS", "[]"),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "urls": ["file:///etc/passwd"]}])),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "chainId": "9889"}])),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "chainId": True}])),
        ("FUEL_NETWORKS", json.dumps([{**MAINNET, "extra": 1}])),
    ],
)
def test_a_wrong_value_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://cache.internal"),
        ("REDIS_URL", "redis://:pass%2Fword@cache.internal:6379/3?protocol=3"),
        ("REDIS_URL", "rediss://user:word@[::1]:6380"),
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("REDIS_URL", "redis+cluster://cache.internal:7000"),
        ("REDIS_URL", "redis+sentinel://one:26379,two:26379/service/0"),
        ("CELERY_BROKER_URL", "amqp://guest:guest@broker.internal//"),
        ("CELERY_BROKER_URL", "amqps://broker.internal/vhost"),
        ("DATABASE_URL", "postgres://bako:word@db.internal:5432/bako?sslmode=require"),
        ("DATABASE_URL", "postgresql:///bako?host=/run/postgresql"),
        ("DATABASE_URL", "sqlite:////var/my lib/bako.sqlite3"),
    ],
)
def test_addresses_of_services_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert getattr(load_settings(), name.lower()) == value


@pytest.mark.parametrize("name", ["REDIS_URL", "CELERY_BROKER_URL", "DATABASE_URL"])
def test_an_error_about_an_address_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "gopher://user:secret@one.example:70")

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert "secret" not in str(caught.value)


def test_an_error_about_networks_shows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**MAINNET, "urls": ["ftp://user:secret@one.example"]}
    monkeypatch.setenv("FUEL_NETWORKS", json.dumps([wrong]))

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "shadow",
    [
        "redis://cache:6379/0",
        "redis://cache",
        "rediss://user:secret@CACHE/0",
        "redis://cache:6379/",
    ],
)
def test_a_cache_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch, shadow: str) -> None:
    """It would always agree: a setting that was left over would look like a proof."""
    monkeypatch.setenv("REDIS_URL", "redis://cache:6379/0")
    monkeypatch.setenv("SHADOW_REDIS_URL", shadow)

    with pytest.raises(ConfigurationError, match=r"^SHADOW_REDIS_URL: .*REDIS_URL") as caught:
        load_settings()

    assert "secret" not in str(caught.value)


def test_another_database_of_one_redis_is_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://cache:6379/0")
    monkeypatch.setenv("SHADOW_REDIS_URL", "redis://cache:6379/5")

    assert load_settings().shadow_redis_url == SecretStr("redis://cache:6379/5")


def test_two_networks_with_one_chain_id_are_refused() -> None:
    twin = {**TESTNET, "name": "local"}

    with pytest.raises(InvalidValueError, match="'testnet' and 'local' have one chain id, 0"):
        parse_networks(json.dumps([TESTNET, twin]))


def test_chain_zero_is_a_network_like_any_other() -> None:
    networks = parse_networks(json.dumps([MAINNET, TESTNET]))
    settings = Settings(fuel_networks=networks)

    assert settings.network(0).name == "testnet"
    with pytest.raises(UnknownNetworkError, match="chain id 7"):
        settings.network(7)


def test_a_network_shows_no_credentials() -> None:
    (network,) = parse_networks(json.dumps([MAINNET]))

    assert network.urls == ("https://user:secret@one.example/v1",)
    assert network.public_url == "https://one.example/v1"
    assert "secret" not in repr(network)


def test_a_secret_may_stand_in_a_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DATABASE_URL").write_text("postgresql://bako:hidden@db/bako\n")
    (tmp_path / "redis_url").write_text("redis://from-file:6379/0")
    (tmp_path / "INTERNAL_API_KEY").write_text("one,two\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://from-environment:6379/0")
    settings = load_settings()

    assert settings.database_url == "postgresql://bako:hidden@db/bako"
    assert settings.redis_url == "redis://from-environment:6379/0"
    assert settings.internal_api_keys == ("one", "two")
    assert [origin(settings, n) for n in ("redis_url", "database_url", "api_port")] == [
        "environment",
        "file",
        "default",
    ]


def test_a_folder_of_secrets_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", "/nowhere")

    with pytest.raises(ConfigurationError, match="SECRETS_DIR"):
        load_settings()
