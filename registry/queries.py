"""The statements, each written so that Bako's indexes serve it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, exists, or_, select, union

from registry.models import Predicate, Transaction, User, UserToken, predicate_members
from registry.reserved import PENDING_STATUSES

Statement = Select[*tuple[Any, ...]]

_COLUMNS = (
    Predicate.id,
    Predicate.name,
    Predicate.predicate_address,
    Predicate.configurable,
    Predicate.workspace_id,
)


def _predicates_of_user() -> Statement:
    """All predicates of a user but deleted ones (inactive ones included).

    Owned or signed for: a union, because an OR over two tables uses no index.
    """
    user_id: BindParameter[str] = bindparam("user_id")
    owned = select(Predicate.id).where(Predicate.owner_id == user_id)
    signed = select(predicate_members.c.predicate_id).where(predicate_members.c.user_id == user_id)
    ids = union(owned, signed).subquery()
    return (
        select(*_COLUMNS).join(ids, Predicate.id == ids.c.id).where(Predicate.deleted_at.is_(None))
    )


# What every login asks is built once: building a statement takes longer than SQLite needs for it.
# Each of these is executed with a user_id.

NEWEST_FIRST = _predicates_of_user().order_by(
    Predicate.updated_at.desc().nulls_last(), Predicate.id
)
"""A user's predicates in the order of a warm-up: what changed last is looked at first."""

BY_ID = _predicates_of_user().order_by(Predicate.id)
"""The same in the order of an allocation: floats are summed in it, so it shows in an answer."""

USER_SETTINGS = select(User.id, User.settings).where(
    User.id == bindparam("user_id"), User.deleted_at.is_(None)
)
"""The settings of a user who is not deleted."""


def predicate_and_relation(predicate_id: str, user_id: str) -> Statement:
    """One predicate, and whether this user owns it or is a member."""
    is_member = exists().where(
        predicate_members.c.user_id == user_id,
        predicate_members.c.predicate_id == predicate_id,
    )
    return select(*_COLUMNS, or_(Predicate.owner_id == user_id, is_member).label("is_his")).where(
        Predicate.id == predicate_id, Predicate.deleted_at.is_(None)
    )


def predicate_by_id(predicate_id: str) -> Statement:
    """One predicate, whoever's it is."""
    return select(*_COLUMNS).where(Predicate.id == predicate_id, Predicate.deleted_at.is_(None))


def pending_drafts(predicate_ids: Collection[str]) -> Statement:
    """Drafts of pending transactions.

    The network is compared by the caller: Bako compares URLs after a replacement, which no
    index can serve, and a vault has few pending transactions.
    """
    return (
        select(Transaction.predicate_id, Transaction.id, Transaction.network, Transaction.tx_data)
        .where(
            Transaction.predicate_id.in_(predicate_ids),
            Transaction.status.in_(PENDING_STATUSES),
            Transaction.deleted_at.is_(None),
        )
        # As they were made: the sums of an answer and its list of coins follow this order.
        .order_by(Transaction.created_at, Transaction.id)
    )


def session_of_token(token: str) -> Statement:
    """A login and whose it is."""
    return (
        select(UserToken.user_id, User.address, UserToken.network, UserToken.expired_at)
        .join(User, User.id == UserToken.user_id)
        .where(UserToken.token == token, UserToken.deleted_at.is_(None), User.deleted_at.is_(None))
    )


def addresses_known(stored_addresses: Collection[str]) -> Statement:
    """Which of these texts are addresses of predicates."""
    return (
        select(Predicate.predicate_address)
        .where(Predicate.predicate_address.in_(stored_addresses), Predicate.deleted_at.is_(None))
        .distinct()
    )


def addresses_of_workspace(workspace_id: str) -> Statement:
    """The addresses of all predicates of a workspace, newest first."""
    statement = select(Predicate.predicate_address).where(
        Predicate.workspace_id == workspace_id, Predicate.deleted_at.is_(None)
    )
    return statement.order_by(Predicate.updated_at.desc().nulls_last(), Predicate.id)
