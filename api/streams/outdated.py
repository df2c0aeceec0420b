"""Outdated balances in the words of Bako's socket messages, for a bridge to its socket server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from api.streams.events import event
from registry.records import PredicateRecord

USER = "[BALANCE_OUTDATED_USER]"
PREDICATE = "[BALANCE_OUTDATED_PREDICATE]"
_TO = "[UI]"


def outdated_events(user_id: str, records: Sequence[PredicateRecord]) -> Iterator[bytes]:
    """Yield Bako's messages about a user's outdated vaults.

    One for each workspace, then one for each vault; an event's data is the message as Bako's API
    emits it, its name the message's ``type``.
    """
    by_workspace: defaultdict[str | None, list[str]] = defaultdict(list)
    for record in records:
        by_workspace[record.workspace_id].append(record.predicate_id)
    for workspace_id, predicate_ids in by_workspace.items():
        message = {
            "sessionId": user_id,
            "to": _TO,
            "type": USER,
            "workspaceId": workspace_id,
            "outdatedPredicateIds": predicate_ids,
        }
        yield event(USER, message)
    for record in records:
        message = {
            "sessionId": user_id,
            "to": _TO,
            "type": PREDICATE,
            "predicateId": record.predicate_id,
            "workspaceId": record.workspace_id,
        }
        yield event(PREDICATE, message)
