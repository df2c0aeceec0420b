"""What `doctor` looks at in the cache and in the database."""

from __future__ import annotations

from cache.server import ServerReport
from cli.operate.findings import Finding, doubtful, good, wrong
from domain.errors import RegistryUnavailableError
from runtime.assembly import Runtime

_OLDEST_REDIS = (7, 0)
"""The scripts ask for PEXPIRETIME."""

_FULL = 0.9
_SKEW_SECONDS = 2.0
_FOREIGN_SKEW_SECONDS = 60.0
_SLOW_ANSWER_SECONDS = 0.05
_SESSION_PORTIONS = 20


async def check_server(runtime: Runtime) -> list[Finding]:
    """Look at the server: version, what it does when it is full, memory, role, clock.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    report = await runtime.server.report()
    if report is None:
        told = "a cluster: its servers were not looked at one by one"
        return [doubtful("redis", told, "redis-cli --cluster check HOST:PORT")]
    return [_version(report), _policy(report), _memory(report), _role(report), _clock(report)]


def _version(report: ServerReport) -> Finding:
    told = f"version {report.version}, answers in {report.answer_seconds * 1000:.1f} ms"
    numbers = tuple(int(part) for part in report.version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_REDIS:
        return wrong("redis", told, "use Redis 7.0 or later, or Valkey")
    if report.answer_seconds > _SLOW_ANSWER_SECONDS:
        return doubtful("redis", told, "put the cache nearer, or look for what keeps it busy")
    return good("redis", told)


def _policy(report: ServerReport) -> Finding:
    name, told = "redis eviction policy", report.policy
    if report.policy.startswith("volatile-"):
        return good(name, told)
    if report.policy == "noeviction":
        advice = "a full cache refuses to write: set maxmemory-policy volatile-lru"
        return doubtful(name, told, advice)
    advice = "it also gives up keys that have no life (Bako's own): set volatile-lru"
    return doubtful(name, told, advice)


def _memory(report: ServerReport) -> Finding:
    name = "redis memory"
    used = f"{report.memory_used / 2**20:.1f} MB used"
    if not report.memory_limit:
        advice = "set maxmemory, or the machine decides what happens when it is full"
        return doubtful(name, f"{used}, no limit", advice)
    told = f"{used} of {report.memory_limit / 2**20:.0f} MB, {report.evicted_keys} keys evicted"
    if report.memory_used > _FULL * report.memory_limit or report.evicted_keys:
        advice = "raise maxmemory, or shorten BALANCE_KEEP_TTL: what is evicted is fetched again"
        return doubtful(name, told, advice)
    return good(name, told)


def _role(report: ServerReport) -> Finding:
    if report.role == "master":
        return good("redis role", "primary")
    return wrong(
        "redis role", report.role, "REDIS_URL must name the primary: replicas take no writes"
    )


def _clock(report: ServerReport) -> Finding:
    skew = report.clock_skew_seconds
    told = f"redis is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    if abs(skew) > _FOREIGN_SKEW_SECONDS:
        advice = "set the clocks by NTP: values that Bako writes are judged by its clock"
        return wrong("clock", told, advice)
    if abs(skew) > _SKEW_SECONDS:
        return doubtful("clock", told, "set the clocks by NTP")
    return good("clock", told)


async def check_sessions(runtime: Runtime) -> Finding:
    """Look for one readable session of Bako's. Shows nothing of it.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    name, looked_at = "session keys", 0
    async for looked_at, keys in runtime.server.walk("session-*"):
        for key in keys[:1]:
            token = key.decode("utf-8", "replace").removeprefix("session-")
            session = await runtime.sessions.get(token)
            if session is None or "user_id" not in session:
                advice = "compare Bako's version with docs/bako.md: users are found by user_id"
                return wrong(name, "there is one, and it is in no known form", advice)
            return good(name, "Bako writes them here, and they can be read")
        if looked_at >= _SESSION_PORTIONS * 1_000:
            break
    advice = "if somebody is signed in: is REDIS_URL the server and database of Bako's API?"
    return doubtful(name, f"none among the first {looked_at} keys", advice)


async def check_database(runtime: Runtime) -> Finding:
    """Look at the database: does it answer, has it Bako's tables and the indexes."""
    name = "database"
    try:
        await runtime.registry.check()
    except RegistryUnavailableError as error:
        return wrong(name, str(error), "is DATABASE_URL right, and may this machine connect?")
    try:
        lacking = await runtime.registry.lacking_indexes()
    except RegistryUnavailableError as error:
        advice = (
            "a Bako database has its tables; for an empty one: python -m registry create-schema"
        )
        return wrong(name, f"it answers, but has not Bako's tables ({error})", advice)
    if lacking:
        told = f"no index for {', '.join(lacking)}"
        return doubtful(name, told, "python -m registry add-indexes   (blocks no writer)")
    return good(name, "answers, has Bako's tables and every index")
