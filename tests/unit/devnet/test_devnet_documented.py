"""What a person can turn is in the document."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Mount, Route

from devnet.app import ADMIN_PATH, create_app
from devnet.faults import PARAMETERS, FaultKind

DOCUMENT = (Path(__file__).parents[3] / "docs" / "devnet.md").read_text("utf-8")


def test_every_fault_and_its_parameters_are_documented() -> None:
    for kind in FaultKind:
        row = re.search(rf"^\| `{kind.value}` \| (.*?) \|", DOCUMENT, re.MULTILINE)
        assert row is not None, kind
        assert set(re.findall(r"`(\w+)`", row[1])) == set(PARAMETERS.get(kind, {})), kind


def test_every_admin_path_is_documented() -> None:
    mounted = [route for route in create_app().routes if isinstance(route, Mount)]
    assert [mount.path for mount in mounted] == [ADMIN_PATH]
    paths = [route.path for route in mounted[0].routes or () if isinstance(route, Route)]
    assert len(paths) > 10
    for path in paths:
        shown = ADMIN_PATH + re.sub(r"\{(\w+)(?::int)?\}", "{…}", path)
        assert shown in re.sub(r"\{\w+\}", "{…}", DOCUMENT), path
