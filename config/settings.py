"""Every setting, from the environment alone. This file is the only reader of the environment.

Names and defaults follow Bako's where Bako has them.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from config.addresses import SCHEMES, check_address, is_same_redis
from domain.errors import ConfigurationError, InvalidValueError, UnknownNetworkError
from domain.networks import Network
from domain.values import check_chain_id

DEFAULT_NETWORKS = (
    Network(9889, "mainnet", ("https://mainnet.fuel.network/v1/graphql",)),
    Network(0, "testnet", ("https://testnet.fuel.network/v1/graphql",)),
)

SECRETS_DIR = Path("/run/secrets")
"""Where containers are given files with secrets."""

IpNetwork = IPv4Network | IPv6Network

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """What the operator decides. Frozen: a running process never changes its mind."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=False, hide_input_in_errors=True
    )

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("REDIS_URL", "REDIS_URL_WRITE"),
        description="The cache: the Redis that Bako's API uses.",
    )
    celery_broker_url: str = Field(
        default="redis://127.0.0.1:6379/1",
        description="The broker: another Redis database than the cache, or RabbitMQ (amqp://).",
    )
    broker_visibility_seconds: WholeSeconds = Field(
        default=60,
        description="Redis as broker: after this a killed worker's message goes to another. Longer "
        "than a task takes.",
    )
    database_url: str = Field(
        default="sqlite:///balance-cache.sqlite3",
        description="Bako's PostgreSQL (postgresql://…), or SQLite for the embedded default.",
    )
    fuel_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=DEFAULT_NETWORKS,
        description=(
            'The allow-list, as JSON: [{"chainId": 9889, "name": "mainnet", "urls": ["https://…"]}]'
        ),
    )

    enable_balance_cache: bool = Field(
        default=True,
        description="false: every read goes to the node and no task asks a node; an invalidation "
        "is still recorded.",
    )
    balance_cache_ttl: WholeSeconds = Field(
        default=600, description="Fresh life of a snapshot, seconds."
    )
    balance_keep_ttl: WholeSeconds = Field(
        default=86_400, description="Keep life of the last known snapshot, seconds."
    )
    balance_invalidation_ttl: WholeSeconds = Field(
        default=3_600, description="Life of Bako's invalidation flags, seconds."
    )
    transaction_cache_ttl: WholeSeconds = Field(
        default=600, description="Life of Bako's tx:refresh marks, seconds."
    )
    lease_seconds: Seconds = Field(
        default=10.0, description="How long a fetch may hold its lease before another may fetch."
    )
    redis_hash_tags: bool = Field(
        default=False,
        description="Redis Cluster: all keys of one address share a slot. Not drop-in.",
    )
    local_copy: bool = Field(
        default=False,
        description="Copy hot balances into each reading process; Redis tells it of changes "
        "(RESP3). Needs one server: no cluster, no Sentinels, no hash tags.",
    )
    local_copy_max_vaults: int = Field(
        default=5_000, gt=0, description="Predicates that one process copies, at most."
    )

    node_timeout_seconds: Seconds = Field(
        default=10.0, description="Total deadline of one fetch from a node, retries included."
    )
    node_concurrency: int = Field(
        default=10, gt=0, description="Requests that one process has under way at one network."
    )
    node_calls_per_second: float = Field(
        default=20.0,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second that all processes together make at one network.",
    )
    node_calls_burst: int = Field(
        default=40, gt=0, description="How many of them may come at once after a time of rest."
    )
    node_calls_under_way: int = Field(
        default=40, gt=0, description="How many of them may be under way at one time."
    )
    node_calls_local_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="The part of that budget that one process has while Redis is away.",
    )
    node_hedge_quantile: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description=(
            "Ask a second node too when one is slower than this part of its answers, for example "
            "0.95. Off by default: it spends the budget twice."
        ),
    )
    node_http2: bool = Field(default=False, description="Speak HTTP/2 with nodes that do.")

    warmup_enabled: bool = Field(default=True, description="false: logins warm nothing.")
    warmup_concurrency: int = Field(
        default=5,
        gt=0,
        description="Node requests of warm-ups under way at once on one network, over all "
        "processes.",
    )
    warmup_max_predicates: int = Field(
        default=20, gt=0, description="Predicates that one login warms at once, newest first."
    )
    warmup_skip_cached: bool = Field(
        default=True, description="Skip predicates that are fresh already."
    )

    refresh_interval_seconds: Seconds = Field(
        default=10.0, description="How often beat looks for hot predicates that are due."
    )
    refresh_ahead_seconds: Seconds = Field(
        default=60.0, description="How long before its end of fresh life a snapshot is due."
    )
    hot_life_seconds: WholeSeconds = Field(
        default=3_600, description="How long after its last read a predicate stays hot."
    )
    refresh_batch: int = Field(
        default=200, gt=0, description="Predicates that one refresh request carries, at most."
    )
    refresh_calls_per_minute: float = Field(
        default=60.0,
        gt=0,
        allow_inf_nan=False,
        description="Node requests a minute that refreshes make at one network, at most.",
    )
    beat_silent_seconds: Seconds = Field(
        default=60.0,
        description="After so long without a sign of beat it is reported as silent.",
    )

    follow_enabled: bool = Field(
        default=True, description="false: nobody looks for deposits that were not announced."
    )
    follow_interval_seconds: Seconds = Field(
        default=0.5, description="How often the follower of a chain asks for new blocks."
    )
    follow_max_gap: int = Field(
        default=3_600,
        gt=0,
        description="Blocks that a follower reads when it comes back; after a longer absence "
        "everything cached is taken for wrong instead.",
    )
    follow_restart_seconds: Seconds = Field(
        default=30.0,
        description="How long a node must tell of another chain before it is believed that the "
        "chain was begun anew, and all that is cached of it is forgotten.",
    )

    audit_enabled: bool = Field(
        default=True, description="false: nobody compares what is called fresh with the nodes."
    )
    audit_interval_seconds: Seconds = Field(
        default=60.0, description="How often a sample of each network is compared."
    )
    audit_sample: int = Field(
        default=100,
        gt=0,
        le=5_000,
        description="Predicates of a sample: so many by traffic, and about so many in turn.",
    )
    audit_grace_seconds: float = Field(
        default=5.0,
        ge=0,
        le=20,
        description="How long what is called fresh may differ from the node until it counts as "
        "wrong: the time in which a follower finds a block.",
    )

    durable_enabled: bool = Field(
        default=True,
        description="false: the last known balances are kept in Redis alone, not in the database.",
    )
    durable_interval_seconds: Seconds = Field(
        default=10.0, description="How often what was published is written to the database."
    )
    history_days: float = Field(
        default=30.0,
        ge=0,
        le=36_500,
        description="How long the database keeps balances that have changed since; 0: the last "
        "known alone.",
    )

    registry_cache_seconds: float = Field(
        default=2.0,
        ge=0,
        le=60,
        description="How long a reading process remembers whose predicates there are and what is "
        "pending on them; 0: it asks the database at every read.",
    )
    shadow_verify: bool = Field(
        default=False,
        description="Compare what is served with the node, off the request path: counted and "
        "logged, nothing is changed.",
    )
    shadow_redis_url: SecretStr | None = Field(
        default=None,
        description="Another Redis whose balances are compared too, read alone: Bako's own, while "
        "REDIS_URL is still one of ours.",
    )

    api_host: str = Field(default="127.0.0.1", description="Where the read API listens.")
    api_port: int = Field(default=8080, ge=0, le=65_535, description="Its port; 0: a free one.")
    cors_allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("*",),
        description="Which web pages may read from browsers, separated by commas; * (Bako's own "
        "rule): all, empty: none. Sessions travel in headers, never in cookies.",
    )
    read_wait_seconds: Seconds = Field(
        default=5.0, description="How long a read waits for the node before it answers stale."
    )
    streams_per_user: int = Field(
        default=10, gt=0, description="Streams that one user may have open at one process."
    )
    streams_per_process: int = Field(
        default=2_000, gt=0, description="Streams that one process keeps open, at most."
    )
    stream_life_seconds: Seconds = Field(
        default=3_600.0,
        description="How long one stream lasts; its reader comes again and resumes, "
        "perhaps at another process.",
    )
    stream_heartbeat_seconds: Seconds = Field(
        default=15.0, description="After so long without news a stream says that it lives."
    )
    stream_session_seconds: Seconds = Field(
        default=5.0, description="How often the sessions of open streams are looked at."
    )
    stream_membership_seconds: Seconds = Field(
        default=30.0, description="How often it is asked which vaults an open stream is about."
    )
    stream_look_seconds: Seconds = Field(
        default=10.0,
        description="How often the vaults of open streams are read without being told of a "
        "change: what expired, and what Bako's own programs wrote.",
    )
    demo_page: bool = Field(
        default=False,
        description="Show a page at /demo that signs in by its address and makes transactions "
        "on simulated nodes. For demonstrations alone.",
    )
    internal_api_key: SecretStr | None = Field(
        default=None, description="X-API-Key of service callers; several, separated by commas."
    )

    internal_rate_limit: int = Field(
        default=100, gt=0, description="Calls a minute that one service caller may make."
    )
    internal_allowed_cidrs: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        default=(),
        description="Where service callers may call from, CIDRs separated by commas; "
        "empty: anywhere.",
    )
    trusted_proxies: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        default=(),
        description="Whose X-Forwarded-For is believed, CIDRs separated by commas.",
    )

    price_source: str | None = Field(
        default=None,
        description="Where prices come from when Bako keeps none in Redis: the address of a JSON "
        "document (https://…), or the path of a file with one.",
    )
    price_refresh_seconds: Seconds = Field(
        default=1_500.0, description="How often they are fetched."
    )

    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Where each worker serves /metrics (0: a free port); unset: nowhere. The API "
        "serves it on its own port.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="On which address workers do so.")
    metrics_allowed_cidrs: Annotated[tuple[IpNetwork, ...], NoDecode] = Field(
        default=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Who may read /metrics without a token, CIDRs separated by commas; empty: "
        "nobody.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Who else may read /metrics: whoever sends Authorization: Bearer with it.",
    )

    watchdog_seconds: float = Field(
        default=60.0,
        ge=0,
        allow_inf_nan=False,
        description="A worker that takes nothing for so long although its lanes have messages ends "
        "with exit code 75, for its supervisor to start it again; 0: never.",
    )

    flower_port: int = Field(default=5555, ge=0, le=65_535, description="Where Flower listens.")
    flower_basic_auth: SecretStr | None = Field(
        default=None,
        description="Who may see Flower: user:password, several separated by commas. Without it "
        "Flower does not start.",
    )
    flower_without_password: bool = Field(
        default=False, description="true: Flower starts without one, on 127.0.0.1 alone."
    )
    flower_db: str | None = Field(
        default=None,
        description="File in which Flower keeps what it saw over a restart (its preset "
        "bounds it); unset: nowhere.",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None,
        description="Where traces are sent, by OTLP over HTTP (http://collector:4318); unset: "
        "nowhere. Wants the extra `otel`. OpenTelemetry's other variables (OTEL_…) are its own.",
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _can_export(cls, address: str | None) -> str | None:
        if not address:
            return None
        check_address(address, ("http", "https"))
        if not _is_installed("opentelemetry.exporter.otlp.proto.http"):
            raise ValueError("the extra is missing: pip install 'balance-cache[otel]'")
        return address

    @field_validator("redis_url", "celery_broker_url", "database_url")
    @classmethod
    def _usable_address(cls, address: str, info: ValidationInfo) -> str:
        check_address(address, SCHEMES[str(info.field_name)])
        return address

    @field_validator("shadow_redis_url")
    @classmethod
    def _another_redis(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is None:
            return None
        address = secret.get_secret_value()
        check_address(address, SCHEMES["shadow_redis_url"])
        ours = info.data.get("redis_url")  # absent where it is itself refused
        if ours is not None and is_same_redis(ours, address):
            raise ValueError("it is REDIS_URL itself, which would always agree; unset it")
        return secret

    secrets_dir: Path = Field(
        default=SECRETS_DIR,
        description="Each setting may also stand in a file of its name in this folder, so that no "
        "secret is in an environment. The environment wins.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, then the folder of secrets, where there is one."""
        del dotenv_settings, file_secret_settings
        folder = Path(os.environ.get("SECRETS_DIR", SECRETS_DIR))
        if not folder.is_dir():
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)

    @field_validator("secrets_dir")
    @classmethod
    def _is_folder(cls, folder: Path) -> Path:
        if folder != SECRETS_DIR and not folder.is_dir():
            raise ValueError("there is no such folder")
        return folder

    @field_validator("fuel_networks", mode="before")
    @classmethod
    def _parse_networks(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        try:
            return parse_networks(raw)
        except InvalidValueError as error:
            raise ValueError(str(error)) from error

    @field_validator(
        "internal_allowed_cidrs", "trusted_proxies", "metrics_allowed_cidrs", mode="before"
    )
    @classmethod
    def _parse_ip_networks(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        return tuple(ip_network(part.strip()) for part in raw.split(",") if part.strip())

    @field_validator("cors_allowed_origins", mode="before")
    @classmethod
    def _parse_origins(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        return tuple(part.strip() for part in raw.split(",") if part.strip())

    @field_validator("log_level", mode="before")
    @classmethod
    def _known_level(cls, raw: Any) -> Any:
        level = str(raw).upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("expected DEBUG, INFO, WARNING or ERROR")
        return level

    def network(self, chain_id: int) -> Network:
        """Return the configured network of a chain.

        Raises:
            UnknownNetworkError: the chain is not on the allow-list.
        """
        for network in self.fuel_networks:
            if network.chain_id == chain_id:
                return network
        raise UnknownNetworkError(chain_id)

    @property
    def internal_api_keys(self) -> tuple[str, ...]:
        """The keys of service callers; several while they are being rotated, none: shut."""
        raw = "" if self.internal_api_key is None else self.internal_api_key.get_secret_value()
        return tuple(key for key in (part.strip() for part in raw.split(",")) if key)

    @property
    def flower_logins(self) -> tuple[str, ...]:
        """Who may see Flower, each as user:password; none: nobody, so it does not start."""
        raw = "" if self.flower_basic_auth is None else self.flower_basic_auth.get_secret_value()
        return tuple(login for login in (part.strip() for part in raw.split(",")) if login)

    @property
    def chain_ids(self) -> tuple[int, ...]:
        """The chains of the allow-list, in its order."""
        return tuple(network.chain_id for network in self.fuel_networks)


def parse_networks(raw: str) -> tuple[Network, ...]:
    """Read the allow-list.

    Raises:
        InvalidValueError: not the documented JSON, an address that is not http(s), or two
            networks with one chain id (their balances would share keys).
    """
    try:
        entries = json.loads(raw)
    except ValueError as error:
        raise InvalidValueError(f"not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise InvalidValueError("expected a JSON list with at least one network")
    networks = tuple(_parse_network(entry) for entry in entries)
    seen: dict[int, str] = {}
    for network in networks:
        if network.chain_id in seen:
            raise InvalidValueError(
                f"networks {seen[network.chain_id]!r} and {network.name!r} "
                f"have one chain id, {network.chain_id}"
            )
        seen[network.chain_id] = network.name
    return networks


def _parse_network(entry: object) -> Network:
    if not isinstance(entry, dict) or set(entry) != {"chainId", "name", "urls"}:
        raise InvalidValueError("each network has exactly chainId, name and urls")
    chain_id, name, urls = entry["chainId"], entry["name"], entry["urls"]
    if not isinstance(chain_id, int) or isinstance(chain_id, bool):
        raise InvalidValueError("chainId must be a number")
    if not isinstance(name, str) or not name:
        raise InvalidValueError("name must be a text")
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise InvalidValueError(f"network {name!r}: urls must be a list of at least one address")
    for url in urls:
        try:
            check_address(url, ("http", "https"))
        except ValueError as error:
            raise InvalidValueError(f"network {name!r}: {error}") from None
    return Network(check_chain_id(chain_id), name, tuple(urls))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is what it is in
        return False


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: names each wrong variable, in one line, without its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigurationError(_one_line(error)) from None
    except OSError as error:
        raise ConfigurationError(f"SECRETS_DIR: {error.filename}: {error.strerror}") from None


def environment_names(name: str) -> list[str]:
    """Return the variables that a setting is read from, the one that wins first."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [name.upper()]


def origin(settings: Settings, name: str) -> str:
    """Return where a setting's value comes from: environment, file or default."""
    if name not in settings.model_fields_set:
        return "default"
    present = {variable.upper() for variable in os.environ}
    return "environment" if present & set(environment_names(name)) else "file"


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def _one_line(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
        problems.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(problems)
