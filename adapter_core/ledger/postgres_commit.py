"""Committing to PostgreSQL: in turns per org, the changes that wait together in one transaction, and what to do when COMMIT isn't
answered.

Every transaction first locks the head of its org's chain.  That serialises the org's writers on all replicas, so the
chain has no forks, no transaction deadlocks, and a conflict is explained from what really stands.  And it is the fence
for a lost COMMIT: whoever holds the lock next knows that the lost transaction has ended, by landing or not at all, and
finds out which by the link it would have written.

Changes that came while another transaction ran go together into the next one: one lock, one round trip of statements, one synced
COMMIT.  Where anything is amiss with it, each of them is written on its own, and only that one hears what is wrong.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.errors import Diagnostic
from psycopg_pool import PoolTimeout

from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import START, Head
from adapter_core.ledger.conflicts import conflict_of
from adapter_core.ledger.postgres_session import Database, native, unavailable
from adapter_core.ledger.sealing import DataKey, DataKeys, MasterKey
from adapter_core.ledger.transaction import (
    PROJECTION_OF,
    Statement,
    StoredFacts,
    Superseded,
    event_statements,
    questions_of,
    record_statements,
    written_order,
)
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerDamaged, LedgerUnavailable

ATTEMPTS = 3
BATCH_MAX = 32

_LOCK_HEAD = "SELECT seq, hash, seal FROM heads WHERE org = %s FOR UPDATE"
_FIRST_HEAD = (
    "INSERT INTO heads (org, seq, hash, seal, used_sequence) VALUES (%s, %s, %s, %s, 0) ON CONFLICT (org) DO NOTHING"
)
_END_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = ANY(%s) AND pid <> pg_backend_pid() AND application_name = current_setting('application_name')"
)
_NEW_DATA_KEY = f"{sql.SAVE_DATA_KEY} ON CONFLICT DO NOTHING RETURNING key_id"


class Unanswered(Exception):
    """COMMIT left, and no trustworthy answer came back."""


class KeyVanished(Exception):
    """The data key in hand isn't the database's any more: it went with the tail a failover lost."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt writes.  ``first_link`` is None for a change without events."""

    statements: list[Statement]
    head: Head
    first_seq: int
    first_link: bytes | None


@dataclass(slots=True)
class Effort:
    """One change until it is stored or refused.

    unanswered: the plans whose COMMIT got no answer; lost: process ids of the server's ends of broken connections;
    is_careful: look for landed plans and for conflicts, under the lock, before writing.
    """

    change: Change
    unanswered: list[Plan] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    is_careful: bool = False


@dataclass(slots=True)
class Waiting:
    """An effort in the queue, and what its caller hears."""

    effort: Effort
    told: asyncio.Future[int]


class Committer:
    """Writes the changes of one replica.  drawn: per org the highest sequence number drawn until now; today: the day
    whose data key seals.
    """

    def __init__(
        self, database: Database, keys: DataKeys, drawn: Callable[[str], int], today: Callable[[], str]
    ) -> None:
        self._database = database
        self._keys = keys
        self._drawn = drawn
        self._today = today
        self._data_key: DataKey | None = None
        # Waiting here costs no connection, and first come is first served.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[str, deque[Waiting]] = defaultdict(deque)

    async def commit(self, change: Change) -> int:
        """As the port says.  Raises besides: LedgerUnavailable with code LEDGER_UNDECIDED when the COMMIT was lost and
        the database couldn't be asked: the change may have landed, and the next versioned write will meet it.
        """
        mine = Waiting(Effort(change), asyncio.get_running_loop().create_future())
        queue = self._waiting[change.org]
        queue.append(mine)
        async with self._turns[change.org]:
            if not mine.told.done():  # else whoever had the turn before took it along
                await self._commit_batch([queue.popleft() for _ in range(min(len(queue), BATCH_MAX))])
        return mine.told.result()

    async def _commit_batch(self, batch: Sequence[Waiting]) -> None:
        """Tells each of them."""
        try:
            stored = await self._attempt_together(batch) if len(batch) > 1 else ()
            for one, seq in zip(batch, stored, strict=False):
                one.told.set_result(seq)
            for one in batch:
                if not one.told.done():
                    await self._tell_alone(one)
        finally:
            for one in batch:
                if not one.told.done():  # this process is ending
                    one.told.cancel()

    async def _tell_alone(self, one: Waiting) -> None:
        try:
            one.told.set_result(await self._commit_alone(one.effort))
        except Exception as exc:  # whatever it is, its own caller must hear it
            one.told.set_exception(exc)

    async def _attempt_together(self, batch: Sequence[Waiting]) -> Sequence[int]:
        """The sequence numbers reached, or nothing: then it isn't known, or not at all, that they are stored."""
        try:
            key = await self._key_of_today()
            async with self._database.connection() as connection:
                process_id = connection.info.backend_pid
                try:
                    return await self._transact_together(connection, [one.effort for one in batch], key)
                except (psycopg.Error, Unanswered):
                    for one in batch if connection.closed else ():
                        one.effort.lost.append(process_id)
                    raise
        except (psycopg.DataError, psycopg.IntegrityError):
            return ()
        except (psycopg.Error, PoolTimeout, Unanswered):
            await self._database.refresh()
            return ()
        except Exception:  # whatever it is, each of them finds it on its own
            return ()

    async def _transact_together(
        self, connection: psycopg.AsyncConnection, efforts: Sequence[Effort], key: DataKey
    ) -> Sequence[int]:
        org = efforts[0].change.org
        head = await self._lock(connection, org, key)
        plans: list[Plan] = []
        for effort in efforts:
            plans.append(_plan(effort.change, key, self._keys.master, head, self._drawn(org)))
            head = plans[-1].head
        heads_saved_once = [statement for plan in plans for statement in plan.statements[:-1]]
        await _run(connection, [*heads_saved_once, plans[-1].statements[-1]])
        try:
            await _end(connection)
        except Unanswered:
            for effort, plan in zip(efforts, plans, strict=True):
                effort.unanswered.append(plan)
                effort.is_careful = True
            raise
        return [plan.head.seq for plan in plans]

    async def _commit_alone(self, effort: Effort) -> int:
        trouble: BaseException | None = None
        for _ in range(ATTEMPTS):
            try:
                return await self._attempt(effort)
            except (Superseded, psycopg.IntegrityError) as exc:
                if effort.is_careful:  # and yet no conflict was found
                    raise ValueError(f"the ledger can't hold this change: {exc}") from exc
                effort.is_careful = True
            except psycopg.DataError as exc:
                raise ValueError(f"the ledger can't hold this change: {exc}") from exc
            except KeyVanished:
                self._data_key = None
            except PoolTimeout as exc:
                trouble = exc
                break
            except Unanswered as exc:
                trouble = exc.__cause__ or exc
                await self._database.refresh()
            except psycopg.Error as exc:
                trouble = exc
                await self._database.refresh()
        raise _given_up(effort, trouble)

    async def _attempt(self, effort: Effort) -> int:
        key = await self._key_of_today()
        async with self._database.connection() as connection:
            process_id = connection.info.backend_pid
            try:
                return await self._transact(connection, effort, key)
            except (psycopg.Error, Unanswered):
                if connection.closed:
                    effort.lost.append(process_id)
                raise

    async def _transact(self, connection: psycopg.AsyncConnection, effort: Effort, key: DataKey) -> int:
        change, master = effort.change, self._keys.master
        if effort.lost:  # they may still hold the lock, waiting for a client that is gone
            await connection.execute(_END_BACKENDS, (effort.lost,))
        head = await self._lock(connection, change.org, key)
        if effort.is_careful:
            for plan in effort.unanswered:
                if await _has_landed(connection, change, plan):
                    # Landed here, perhaps not on the standby yet: the lock makes this a commit too, and one waits for
                    # all of the log before it.
                    await _end(connection)
                    return plan.head.seq
            facts = StoredFacts(await _answers(connection, questions_of(change)))
            conflict = conflict_of(change, facts)
            if conflict is not None:
                raise conflict
        plan = _plan(change, key, master, head, self._drawn(change.org))
        await _run(connection, plan.statements)
        try:
            await _end(connection)
        except Unanswered:
            effort.unanswered.append(plan)
            effort.is_careful = True
            raise
        return plan.head.seq

    async def _lock(self, connection: psycopg.AsyncConnection, org: str, key: DataKey) -> Head:
        """Begin, and hold the org's head until the end.  Raises: KeyVanished, LedgerDamaged."""
        async with connection.pipeline():
            await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            heads = await _execute(connection, _LOCK_HEAD, (org,))
            stored_key = await _execute(connection, sql.SELECT_DATA_KEY, (key.key_id,))
        row: Any = await heads.fetchone()
        if await stored_key.fetchone() != (key.day, key.wrapped):
            raise KeyVanished
        master = self._keys.master
        if row is None:
            first = (org, 0, START, master.head_seal(org, 0, START))
            await connection.execute(_FIRST_HEAD, first)
            row = await (await _execute(connection, _LOCK_HEAD, (org,))).fetchone()
        head = Head(*row)
        if master.head_seal(org, head.seq, head.hash) != head.seal:
            raise LedgerDamaged(f"the head of {org}'s chain was not written under this master key")
        return head

    async def _key_of_today(self) -> DataKey:
        """Of several replicas that make the day's key at once, one wins and all use its.  Raises: psycopg.Error."""
        day = self._today()
        while self._data_key is None or self._data_key.day != day:
            async with self._database.connection() as connection:
                found = await (await _execute(connection, sql.SELECT_DATA_KEY_OF_DAY, (day,))).fetchone()
                if found is None:
                    last = await (await _execute(connection, sql.SELECT_LAST_DATA_KEY)).fetchone()
                    made = self._keys.master.new_data_key((last or (0,))[0] + 1, day)
                    await _execute(connection, _NEW_DATA_KEY, (made.key_id, made.day, made.wrapped))
                    continue
                stored = await (await _execute(connection, sql.SELECT_DATA_KEY, (found[0],))).fetchone()
            if stored is not None:
                self._data_key = self._keys.master.open_data_key(found[0], *stored)
                self._keys.remember(self._data_key)
        return self._data_key


def _given_up(effort: Effort, trouble: BaseException | None) -> LedgerUnavailable:
    failure = unavailable(trouble or LedgerUnavailable("its data keys change under our hands"))
    if effort.unanswered:
        failure.code = "LEDGER_UNDECIDED"
    failure.__cause__ = trouble
    return failure


def _plan(change: Change, key: DataKey, master: MasterKey, head: Head, used_sequence: int) -> Plan:
    statements = record_statements(change, key, master)
    appended, last = event_statements(change, head, key)
    seal = master.head_seal(change.org, last.seq, last.hash)
    save_head = Statement(sql.SAVE_HEAD, (change.org, last.seq, last.hash, seal, used_sequence))
    first_link = appended[0].parameters[-1] if appended else None
    return Plan([*statements, *appended, save_head], last, head.seq + 1, first_link)


async def _run(connection: psycopg.AsyncConnection, statements: Sequence[Statement]) -> None:
    """All in one round trip.  Raises: Superseded, psycopg.Error."""
    async with connection.pipeline():
        cursors = [await _execute(connection, text, parameters) for text, parameters, *_ in statements]
    for cursor, statement in zip(cursors, statements, strict=True):
        if statement.replaces and cursor.rowcount != 1:
            raise Superseded


async def _end(connection: psycopg.AsyncConnection) -> None:
    """COMMIT.  Raises: Unanswered, psycopg.Error when the server refused, and so rolled back."""
    warnings: list[str] = []

    def listen(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.message_primary or "a warning")

    connection.add_notice_handler(listen)
    try:
        cursor = await connection.execute("COMMIT")
    except psycopg.Error as exc:
        if connection.closed:
            raise Unanswered from exc
        raise
    finally:
        connection.remove_notice_handler(listen)
    if warnings:  # a wait for the standby that was broken off is told as a warning, and COMMIT then as done
        await connection.close()
        raise Unanswered(warnings[0])
    if cursor.statusmessage != "COMMIT":
        raise psycopg.OperationalError(f"COMMIT was answered by {cursor.statusmessage}")


async def _has_landed(connection: psycopg.AsyncConnection, change: Change, plan: Plan) -> bool:
    """Under the org's lock: does what the plan would have written stand there?"""
    if plan.first_link is not None:
        asked = "SELECT hash FROM journal WHERE org = ? AND seq = ?"
        return await (await _execute(connection, asked, (change.org, plan.first_seq))).fetchone() == (plan.first_link,)
    # Without events: the records' own rows.  Aliases and search values may be written twice.
    for record, statement in zip(written_order(change), plan.statements, strict=False):
        projection = PROJECTION_OF[type(record)]
        asked = f"SELECT {', '.join(projection.columns)} FROM {projection.table} WHERE {projection.id_name} = ?"
        row = await (await _execute(connection, asked, (projection.id_of(record),))).fetchone()
        return row is not None and tuple(row) == tuple(statement.parameters[: len(projection.columns)])
    return False


class _Answers:
    """A connection that knows some answers already."""

    def __init__(self, rows: dict[tuple[str, tuple[str, ...]], Any]) -> None:
        self._rows = rows

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> _Answer:
        return _Answer(self._rows[statement, tuple(parameters)])


@dataclass(frozen=True, slots=True)
class _Answer:
    row: Any
    rowcount: int = 1

    def fetchone(self) -> Any:
        return self.row


async def _answers(connection: psycopg.AsyncConnection, questions: Sequence[tuple[str, tuple[str, ...]]]) -> _Answers:
    async with connection.pipeline():
        cursors = [await _execute(connection, *question) for question in questions]
    return _Answers({question: await cursor.fetchone() for question, cursor in zip(questions, cursors, strict=True)})


async def _execute(
    connection: psycopg.AsyncConnection, statement: str, parameters: Sequence[Any] = ()
) -> psycopg.AsyncCursor[Any]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(native(statement), parameters)
    return cursor
