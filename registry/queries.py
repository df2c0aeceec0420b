"""The statements, each written so that Bako's indexes serve it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    exists,
    or_,
    select,
    true,
    union,
)

from registry.models import Predicate, Transaction, User, UserToken, predicate_members
from registry.reserved import PENDING_STATUSES

Statement = Select[*tuple[Any, ...]]

_COLUMNS = (
    Predicate.id,
    Predicate.name,
    Predicate.predicate_address,
    Predicate.configurable,
    Predicate.workspace_id,
    Predicate.updated_at,
)
_DRAFT = (Transaction.id.label("transaction_id"), Transaction.network, Transaction.tx_data)
_AS_MADE = (Transaction.created_at, Transaction.id)
"""The order of drafts: the sums of an answer and its list of coins follow it."""


def _ids_of_user() -> CompoundSelect[str]:
    """Owned or signed for: a union, because an OR over two tables uses no index."""
    user_id: BindParameter[str] = bindparam("user_id")
    owned = select(Predicate.id).where(Predicate.owner_id == user_id)
    signed = select(predicate_members.c.predicate_id).where(predicate_members.c.user_id == user_id)
    return union(owned, signed)


def _addresses_of_users() -> Statement:
    """Whose predicates there are, but deleted ones (inactive ones included), the newest first."""
    user_ids: BindParameter[Sequence[str]] = bindparam("user_ids", expanding=True)
    members = predicate_members.c
    owned = select(Predicate.owner_id.label("user_id"), Predicate.id).where(
        Predicate.owner_id.in_(user_ids)
    )
    signed = select(members.user_id, members.predicate_id).where(members.user_id.in_(user_ids))
    ids = union(owned, signed).subquery()
    return (
        select(ids.c.user_id, Predicate.predicate_address)
        .join(ids, Predicate.id == ids.c.id)
        .where(Predicate.deleted_at.is_(None))
        .order_by(Predicate.updated_at.desc().nulls_last(), Predicate.id)
    )


def _is_pending() -> ColumnElement[bool]:
    """The pending transactions of a predicate.

    The network is compared by the caller: Bako compares URLs after a replacement, which no
    index can serve, and a vault has few pending transactions.
    """
    return and_(
        Transaction.predicate_id == Predicate.id,
        Transaction.status.in_(PENDING_STATUSES),
        Transaction.deleted_at.is_(None),
    )


def _page_of_user() -> Statement:
    ids = _ids_of_user().subquery()
    return (
        select(User.settings, *_COLUMNS, *_DRAFT)
        .select_from(User)
        .outerjoin(ids, true())
        .outerjoin(Predicate, and_(Predicate.id == ids.c.id, Predicate.deleted_at.is_(None)))
        .outerjoin(Transaction, _is_pending())
        .where(User.id == bindparam("user_id"), User.deleted_at.is_(None))
        .order_by(Predicate.id, *_AS_MADE)
    )


# What every login asks is built once: building a statement takes longer than SQLite needs for it.

ADDRESSES_OF_USERS = _addresses_of_users()
"""The predicates of the user_ids in the order of a warm-up: what changed last comes first."""

SETTINGS_OF_USERS = select(User.id, User.settings).where(
    User.id.in_(bindparam("user_ids", expanding=True)), User.deleted_at.is_(None)
)
"""The settings of those of the user_ids who are not deleted."""

PAGE_OF_USER = _page_of_user()
"""A user_id's settings, his predicates and their pending drafts: all that his page needs.

One row for each draft, and one for a predicate without any; a user without predicates is one row
too. By ascending id, the order of an allocation: floats are summed in it, so it shows in an answer.
"""


def predicate_and_relation(predicate_id: str, user_id: str) -> Statement:
    """One predicate with its pending drafts, and whether this user owns it or is a member."""
    is_member = exists().where(
        predicate_members.c.user_id == user_id,
        predicate_members.c.predicate_id == predicate_id,
    )
    is_his = or_(Predicate.owner_id == user_id, is_member).label("is_his")
    return _one_predicate(predicate_id, is_his)


def predicate_by_id(predicate_id: str) -> Statement:
    """One predicate with its pending drafts, whoever's it is."""
    return _one_predicate(predicate_id)


def _one_predicate(predicate_id: str, *more: ColumnElement[Any]) -> Statement:
    return (
        select(*_COLUMNS, *_DRAFT, *more)
        .outerjoin(Transaction, _is_pending())
        .where(Predicate.id == predicate_id, Predicate.deleted_at.is_(None))
        .order_by(*_AS_MADE)
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
