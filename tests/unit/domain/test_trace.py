"""Whose request it is: what a caller sends is believed as far as it is well formed."""

from __future__ import annotations

import re

import pytest

from domain.trace import trace_from

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def test_a_trace_goes_on_with_a_span_of_its_own() -> None:
    trace = trace_from(PARENT, "request-1")
    following = trace.next_step()

    assert (trace.trace_id, trace.request_id) == (TRACE_ID, "request-1")
    assert len({"00f067aa0ba902b7", trace.span_id, following.span_id}) == 3
    assert following.traceparent == f"00-{TRACE_ID}-{following.span_id}-01"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        7,
        "",
        "junk",
        PARENT + "-more",
        PARENT.upper(),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(sent: object) -> None:
    trace = trace_from(sent, None)

    assert re.fullmatch(r"[0-9a-f]{32}", trace.trace_id)
    assert trace.trace_id not in {TRACE_ID, "0" * 32}


@pytest.mark.parametrize("sent", [None, 7, "", "x" * 65, "two words", "line\nbreak", 'quo"te'])
def test_a_request_id_that_would_spoil_a_log_is_replaced(sent: object) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", trace_from(None, sent).request_id)
