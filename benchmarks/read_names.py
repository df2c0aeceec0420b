"""What the read benchmark's paths are called, and which of them are compared."""

from __future__ import annotations

from dataclasses import dataclass

RATIO_AT = "16"
"""The connections at which ratios are taken: enough to keep one core busy, few enough to queue
little."""

STATIC_VAULT, STATIC_PAGE, STATIC_NOTHING = (
    "static, a vault's size",
    "static, a page's size",
    "static, no body",
)
VAULT, DASHBOARD, UNCHANGED = "one vault", "dashboard", "not modified"
ELEVEN = "the page by eleven requests"
LOCAL_COPY = " (local copy)"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Which path is compared with which static bytes, and what it is to reach."""

    shown: str
    ours: str
    static: str
    goal: float | None = None


RATIOS = {
    "vault": Ratio("one vault", VAULT, STATIC_VAULT, 0.55),
    "vault_local_copy": Ratio(
        "one vault, local copy", VAULT + LOCAL_COPY, STATIC_VAULT + LOCAL_COPY, 0.85
    ),
    "dashboard": Ratio("dashboard of ten", DASHBOARD, STATIC_PAGE, 0.6),
    "dashboard_local_copy": Ratio(
        "dashboard of ten, local copy", DASHBOARD + LOCAL_COPY, STATIC_PAGE + LOCAL_COPY
    ),
    "not_modified": Ratio("304 for the dashboard", UNCHANGED, STATIC_PAGE, 0.85),
    "not_modified_local_copy": Ratio(
        "304 for the dashboard, local copy",
        UNCHANGED + LOCAL_COPY,
        STATIC_PAGE + LOCAL_COPY,
        0.85,
    ),
    "not_modified_to_no_body": Ratio(
        "304, beside a static answer without a body", UNCHANGED, STATIC_NOTHING
    ),
    "not_modified_to_no_body_local_copy": Ratio(
        "304, beside a static answer without a body, local copy",
        UNCHANGED + LOCAL_COPY,
        STATIC_NOTHING + LOCAL_COPY,
    ),
}
