"""The registry: whose predicates, what is reserved of them, who is signed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.bech32 import encode_fuel_bech32
from domain.errors import (
    InvalidAddressError,
    InvalidValueError,
    UnknownPredicateError,
    UnknownUserError,
)
from domain.together import Together
from domain.values import Address, checksum_address, parse_address, read_chain_id
from registry import queries
from registry.engine import database_errors, open_engine
from registry.follower import DurableCursors
from registry.indexes import lacking
from registry.records import PendingDraft, PredicateRecord, StoredSession, signers, signs_for
from registry.reserved import network_url_of, reserved_by
from registry.snapshots import DurableSnapshots

_MOST_PARAMETERS = 10_000
"""Values listed in one statement; PostgreSQL's protocol has place for 32 767, SQLite for 32 766."""

_USERS_TOGETHER = 100
"""Logins that come at one time are looked up together, so many at most."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Listed:
    """One user.

    Attributes:
        hidden: what he has put out of sight, in lower case.
        stored_addresses: of his predicates as they are stored, the newest first.
    """

    hidden: Collection[str]
    stored_addresses: list[str]


class Registry:
    """Bako's database. One per event loop; ``await close()`` at the end.

    Bako's tables are read only; what is written is our own (`registry.follower`).

    Every method raises `RegistryUnavailableError` when the database does not answer.

    Attributes:
        unreadable_rows: predicates met so far whose address is in no valid form.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # Single statements that only read: a transaction around each would cost two more trips.
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lists = Together(self._list, most=_USERS_TOGETHER)
        self.unreadable_rows = 0

    @classmethod
    def open(cls, database_url: str) -> Registry:
        """Return the registry of a database; the first query connects.

        Raises:
            ConfigurationError: neither PostgreSQL nor SQLite.
        """
        return cls(open_engine(database_url))

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()

    def durable_snapshots(self) -> DurableSnapshots:
        """Return where the last known balances of every vault are kept."""
        return DurableSnapshots(self._engine)

    def durable_cursors(self) -> DurableCursors:
        """Return where the followers of the chains leave their cursors."""
        return DurableCursors(self._engine)

    async def create_schema(self) -> None:
        """Create the tables from nothing: for the embedded default and for tests.

        Never call it on a Bako database: those tables are Bako's to create.
        """
        with database_errors():
            # Only who makes tables needs what makes them: it takes long to load.
            from registry import migrate  # noqa: PLC0415

            await migrate.create_schema(self._engine)

    async def check(self) -> None:
        """Ask the database for an answer."""
        with database_errors():
            async with self._reading.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def lacking_indexes(self) -> Sequence[str]:
        """Return what `python -m registry add-indexes` would add, as ``table (columns)``.

        Nothing for the embedded default (SQLite): it is small.
        """
        with database_errors():
            async with self._reading.connect() as connection:
                found = await connection.run_sync(lacking)
        if self._engine.dialect.name == "sqlite":
            return []
        return [f"{table} ({', '.join(columns)})" for table, columns in found]

    async def addresses_of_user(self, user_id: str, limit: int | None = None) -> Sequence[Address]:
        """Return the addresses of all predicates of a user, newest first.

        Owned or signed for, not deleted, not put out of sight by the user. Rows whose address
        cannot be read are counted, logged and left out.

        Raises:
            UnknownUserError: there is no such user.
        """
        return self._shown(await self._listed(user_id))[:limit]

    async def addresses_of_users(self, user_ids: Sequence[str]) -> Mapping[str, Sequence[Address]]:
        """Return the same for several users, in one question; one that there is not is left out."""
        known_as = {user_id: _canonical(user_id) for user_id in user_ids}
        asked = list(dict.fromkeys(found for found in known_as.values() if found is not None))
        listed = dict(zip(asked, await self._lists.ask(asked), strict=True)) if asked else {}
        return {
            user_id: self._shown(found)
            for user_id in user_ids
            if (found := listed.get(known_as[user_id] or "")) is not None
        }

    async def every_address_of_user(self, user_id: str) -> Sequence[Address]:
        """Return the addresses of a user's predicates, those out of his sight too.

        For invalidations: what is shown again tomorrow must not be wrong then.

        Raises:
            UnknownUserError: there is no such user.
        """
        return self._read_once((await self._listed(user_id)).stored_addresses)

    async def predicates_of_user(self, user_id: str) -> Sequence[PredicateRecord]:
        """Return a user's predicates with what is pending on them, by ascending id: one query.

        Those that his allocation is summed over: not deleted, not put out of his sight.

        Raises:
            UnknownUserError: there is no such user.
        """
        known_as = _canonical(user_id)
        rows = (
            [] if known_as is None else await self._all(queries.PAGE_OF_USER, {"user_id": known_as})
        )
        if not rows:
            raise UnknownUserError(user_id)
        hidden = _hidden(rows[0].settings)
        his = (row for row in rows if row.id is not None)
        return self._records([r for r in his if not _is_among(r.predicate_address, hidden)])

    async def predicate(self, predicate_id: str) -> PredicateRecord:
        """Return one predicate, whoever's it is: for callers who may see all.

        Raises:
            UnknownPredicateError: there is none.
        """
        known_as = _canonical(predicate_id)
        if known_as is None:
            raise UnknownPredicateError(predicate_id)
        rows = await self._all(queries.predicate_by_id(known_as))
        if not rows:
            raise UnknownPredicateError(predicate_id)
        return self._records(rows)[0]

    async def predicate_of_user(
        self, predicate_id: str, user_id: str, user_address: str
    ) -> PredicateRecord:
        """Return one predicate that this user owns or signs for.

        He signs for it when he is a member, or when the vault's own configuration names him.

        Raises:
            UnknownPredicateError: there is none, or it is somebody else's; both look the same.
        """
        known_as, reader = _canonical(predicate_id), _canonical(user_id)
        if known_as is None or reader is None:
            raise UnknownPredicateError(predicate_id)
        rows = await self._all(queries.predicate_and_relation(known_as, reader))
        if not rows or not (rows[0].is_his or signs_for(user_address, rows[0].configurable)):
            raise UnknownPredicateError(predicate_id)
        return self._records(rows)[0]

    async def session(self, token: str) -> StoredSession | None:
        """Return the login that a token belongs to, if the table has it."""
        rows = await self._all(queries.session_of_token(token))
        if not rows:
            return None
        row = rows[0]
        network = row.network if isinstance(row.network, dict) else {}
        return StoredSession(
            user_id=row.user_id,
            user_address=row.address,
            chain_id=read_chain_id(network.get("chainId")),
            network_url=str(network.get("url") or ""),
            expires_at=row.expired_at,
        )

    async def known_addresses(self, addresses: Collection[Address]) -> Sequence[Address]:
        """Return those of the addresses that are predicates, in the order given.

        Rows in checksum case and legacy rows count too: whoever misses one invalidates too little.
        """
        wanted = list(dict.fromkeys(addresses))
        forms = {form: address for address in wanted for form in _stored_forms(address)}
        rows = await self._in_portions(queries.addresses_known, forms)
        known = {forms[row.predicate_address] for row in rows}
        return [address for address in wanted if address in known]

    async def addresses_of_workspace(self, workspace_id: str) -> Sequence[Address]:
        """Return the addresses of all predicates of a workspace; none when there is no such."""
        known_as = _canonical(workspace_id)
        if known_as is None:
            return []
        rows = await self._all(queries.addresses_of_workspace(known_as))
        return self._read_once(row.predicate_address for row in rows)

    async def _listed(self, user_id: str) -> _Listed:
        """Return what is listed of a user.

        Raises:
            UnknownUserError: there is no such user.
        """
        known_as = _canonical(user_id)
        listed = None if known_as is None else (await self._lists.ask([known_as]))[0]
        if listed is None:
            raise UnknownUserError(user_id)
        return listed

    async def _list(self, user_ids: Sequence[str]) -> list[_Listed | None]:
        """Look users up who are asked for at one time: as many statements as for one of them."""
        asked = {"user_ids": user_ids}
        with database_errors():
            async with self._reading.connect() as connection:
                users = (await connection.execute(queries.SETTINGS_OF_USERS, asked)).all()
                rows = (await connection.execute(queries.ADDRESSES_OF_USERS, asked)).all()
        listed = {user.id: _Listed(_hidden(user.settings), []) for user in users}
        for row in rows:
            if row.user_id in listed:
                listed[row.user_id].stored_addresses.append(row.predicate_address)
        return [listed.get(user_id) for user_id in user_ids]

    def _shown(self, listed: _Listed) -> list[Address]:
        shown = (a for a in listed.stored_addresses if not _is_among(a, listed.hidden))
        return self._read_once(shown)

    def _read_once(self, stored_addresses: Iterable[str]) -> list[Address]:
        """Return those that can be read, each once, in order."""
        parsed = (self._parsed(stored) for stored in stored_addresses)
        return list(dict.fromkeys(address for address in parsed if address is not None))

    def _records(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[PredicateRecord]:
        """Put the rows of each predicate together: one for each of its drafts."""
        return [self._record(list(its)) for _, its in groupby(rows, key=attrgetter("id"))]

    def _record(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> PredicateRecord:
        row = rows[0]
        members, minimum = signers(row.configurable)
        return PredicateRecord(
            predicate_id=row.id,
            name=row.name,
            stored_address=row.predicate_address,
            address=self._parsed(row.predicate_address),
            members=members,
            minimum_signers=minimum,
            workspace_id=row.workspace_id,
            updated_at=row.updated_at,
            drafts=tuple(_draft(row) for row in rows if row.transaction_id is not None),
        )

    def _parsed(self, stored_address: str) -> Address | None:
        try:
            return parse_address(stored_address)
        except InvalidAddressError:
            self.unreadable_rows += 1
            _log.warning("predicate_address_unreadable", stored_address=stored_address[:80])
            return None

    async def _all(
        self, statement: queries.Statement, values: Mapping[str, str] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        with database_errors():
            async with self._reading.connect() as connection:
                return (await connection.execute(statement, values)).all()

    async def _in_portions(
        self, statement: Callable[[Collection[str]], queries.Statement], values: Iterable[str]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        rows: list[Row[*tuple[Any, ...]]] = []
        rest = iter(values)
        while portion := list(islice(rest, _MOST_PARAMETERS)):
            rows += await self._all(statement(portion))
        return rows


def _draft(row: Row[*tuple[Any, ...]]) -> PendingDraft:
    try:
        coins = reserved_by(row.tx_data)
    except InvalidValueError as error:
        coins = None
        _log.warning("pending_draft_unreadable", transaction_id=row.transaction_id, why=str(error))
    return PendingDraft(network_url_of(row.network), coins)


def _hidden(settings: object) -> set[str]:
    """Return what a user has put out of sight, in lower case."""
    listed = settings.get("inactivesPredicates") if isinstance(settings, dict) else None
    return {str(address).lower() for address in listed} if isinstance(listed, list) else set()


def _is_among(stored_address: str, addresses: Collection[str]) -> bool:
    if not addresses:
        return False
    if stored_address.lower() in addresses:
        return True
    try:
        return parse_address(stored_address) in addresses
    except InvalidAddressError:
        return False


def _stored_forms(address: Address) -> tuple[str, ...]:
    upper = "0x" + address[2:].upper()
    return address, checksum_address(address), upper, encode_fuel_bech32(address)


def _canonical(text_id: str) -> str | None:
    """Return an id in the one form that SQLite finds too; None: it is none."""
    try:
        return str(UUID(text_id))
    except ValueError:
        return None
