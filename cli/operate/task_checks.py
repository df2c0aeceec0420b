"""What `doctor` looks at on the way of tasks: broker, lanes, workers, beat, dead letters."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from cli.operate.findings import Finding, doubtful, good, wrong
from cli.operate.lanes import Staffed, look
from cli.output import span
from config.settings import Settings
from domain.errors import BrokerUnavailableError
from runtime.assembly import Runtime
from tasks.workforce import Workforce

_OLD_SECONDS = 60.0
_DEFAULT_PORT = 6379


async def check_broker(settings: Settings) -> list[Finding]:
    """Look at the broker, what stands in its lanes, and who takes from them."""
    try:
        force, lanes = await asyncio.to_thread(look, settings)
    except BrokerUnavailableError as error:
        advice = "is CELERY_BROKER_URL right? Reads go on; invalidations over HTTP too"
        return [wrong("broker", str(error), advice)]
    return [*_broker(settings, force), *(_lane(lane) for lane in lanes)]


def _broker(settings: Settings, force: Workforce) -> list[Finding]:
    if force.kind != "redis":
        return [good("broker", "RabbitMQ answers")]
    policy = force.facts.get("maxmemory_policy", "unknown")
    findings = [good("broker", f"Redis {force.facts.get('redis_version', 'unknown')} answers")]
    if policy != "noeviction":
        advice = "set maxmemory-policy noeviction: a broker must refuse, never forget"
        findings.append(wrong("broker eviction policy", policy, advice))
    if force.facts.get("aof_enabled") != "1":
        told = "it writes nothing to disk: its restart loses what it has accepted"
        findings.append(doubtful("broker persistence", told, "set appendonly yes"))
    cache, broker = _place(settings.redis_url), _place(settings.celery_broker_url)
    if cache == broker:
        advice = "give CELERY_BROKER_URL another server, at the least another database"
        findings.append(wrong("broker database", "it is the cache's own", advice))
    elif cache[:2] == broker[:2]:
        told = "it is on the cache's server, whose policy it shares"
        findings.append(doubtful("broker server", told, "give the broker a server of its own"))
    return findings


def _place(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORT, parts.path.strip("/") or "0"


def _lane(lane: Staffed) -> Finding:
    state = lane.state
    name, told = f"lane {state.lane}", f"{state.ready} messages wait"
    if state.ready and state.oldest_seconds is not None:
        told += f", the oldest for {span(state.oldest_seconds)}"
    if not lane.workers:
        advice = f"start a worker: celery -A tasks worker --queues {state.lane}"
        return wrong(name, f"no worker takes from it; {told}", advice)
    told += f"; taken by {', '.join(lane.workers)}"
    if state.oldest_seconds is not None and state.oldest_seconds > _OLD_SECONDS:
        advice = "more workers (docs/scaling.md), or see what they wait for: the node, its budget"
        return doubtful(name, told, advice)
    return good(name, told)


async def check_beat(runtime: Runtime) -> Finding:
    """Look when beat was last heard of.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    silence = await runtime.beat.silent_seconds()
    if not runtime.settings.enable_balance_cache:
        return good("beat", "nothing to do: ENABLE_BALANCE_CACHE=false")
    advice = "start it: celery -A tasks beat. It is heard through the refresh lane: is a worker up?"
    if silence is None:
        return wrong("beat", "no sign of it in a day", advice)
    if silence > runtime.settings.beat_silent_seconds:
        return wrong("beat", f"silent for {span(silence)}", advice)
    return good("beat", f"heard of {span(silence)} ago")


async def check_dead_letters(runtime: Runtime) -> Finding:
    """Look for messages that nobody could work on.

    Raises:
        CacheUnavailableError: Redis does not answer.
    """
    letters = await runtime.dead_letters.listed()
    if not letters:
        return good("dead letters", "none")
    told = f"{len(letters)}, the last of {letters[-1].task}: {letters[-1].reason}"
    advice = "balance-cache dead-letters list; mend the cause; balance-cache dead-letters replay"
    return doubtful("dead letters", told, advice)


def check_doors(settings: Settings) -> Finding:
    """Look whether service callers can come in."""
    if settings.internal_api_keys:
        return good("internal API", f"{len(settings.internal_api_keys)} keys are configured")
    advice = "set INTERNAL_API_KEY: until then nobody can announce a transaction over HTTP"
    return doubtful("internal API", "shut: no key is configured", advice)
