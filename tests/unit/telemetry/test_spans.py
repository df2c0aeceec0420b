"""OpenTelemetry is an extra: who does not ask for it loads nothing of it, and misses nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from config.settings import Settings
from domain.spans import SpanKind, span_ended
from domain.trace import trace_from
from supervisor.ports import free_port
from telemetry.spans import end_exporting, export_spans
from tests.process_support import clean_environment
from tests.span_support import collecting

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
SWITCH = "OTEL_EXPORTER_OTLP_ENDPOINT"
# FastAPI brings opentelemetry-api, which exports nothing, by itself.
WITHOUT_THE_EXTRA = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {"opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "program",
    [
        "sys.argv = ['balance-cache', 'api']; from cli.main import main; main()",
        "sys.argv = ['celery', '-A', 'tasks', 'worker']; from celery.__main__ import main; main()",
        "sys.argv = ['celery', '-A', 'tasks', 'beat']; from celery.__main__ import main; main()",
    ],
)
def test_the_switch_without_the_extra_is_one_line(program: str) -> None:
    result = python(WITHOUT_THE_EXTRA + program, **{SWITCH: "http://127.0.0.1:4318"})

    assert result.returncode == 2, result.stderr
    said = [line for line in result.stderr.splitlines() if SWITCH in line]
    assert len(said) == 1
    assert "balance-cache[otel]" in said[0]
    assert "Traceback" not in result.stderr


def test_without_the_switch_nothing_of_it_is_needed() -> None:
    programs = "import api.server, cli.main, tasks.lifecycle, telemetry.spans, runtime.assembly"
    started = "from config.settings import Settings; telemetry.spans.export_spans(Settings(), 'x')"
    result = python(f"{WITHOUT_THE_EXTRA}\n{programs}\n{started}")

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("address", ["collector:4318", "ftp://collector", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Settings(otel_exporter_otlp_endpoint=address)


def test_a_step_keeps_its_names_and_tells_that_it_failed() -> None:
    trace, first = trace_from(PARENT, "page-view-7"), trace_from(None, None)
    with collecting() as collector:
        settings = Settings(otel_exporter_otlp_endpoint=collector.address)
        export_spans(settings, "balance-cache-test")
        begun_ns = time.time_ns() - 1_000_000_000
        for step in (trace, first, trace.next_step()):
            span_ended(step, "a step", SpanKind.SERVER, begun_ns, failed=True, attributes={})
        end_exporting()
        span_ended(trace, "too late", SpanKind.SERVER, begun_ns, failed=True, attributes={})
        one, root, below = collector.spans

    assert (one.trace_id, one.span_id, one.parent_id) == ("ab" * 16, trace.span_id, "cd" * 8)
    assert (root.trace_id, root.span_id, root.parent_id) == (first.trace_id, first.span_id, "")
    assert (below.trace_id, below.parent_id) == ("ab" * 16, trace.span_id)
    assert one.service == "balance-cache-test"
    assert one.attributes["request.id"] == "page-view-7"
    assert one.failed
    assert one.seconds >= 1


def test_a_collector_that_is_away_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{free_port()}")
    export_spans(settings, "balance-cache-test")
    span_ended(trace_from(PARENT, None), "a step", SpanKind.SERVER, 1, failed=False, attributes={})
    end_exporting()

    assert "export" in caplog.text.lower()
