"""Group commit: one thread, one connection; the changes waiting together share one synced COMMIT.

Where anything is amiss with a batch it is written once more, each change under a savepoint of its own, so that a conflict takes
down nobody else.  A future resolves only after the COMMIT it is part of.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from adapter_core.ledger import projections as sql
from adapter_core.ledger.chain import START, Head
from adapter_core.ledger.conflicts import conflict_of, opens_work
from adapter_core.ledger.recent import RecentRecords
from adapter_core.ledger.reserve import Reserve
from adapter_core.ledger.sealing import DataKey, DataKeys
from adapter_core.ledger.transaction import StoredFacts, Superseded, Transaction
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable

BATCH_MAX = 32

_log = logging.getLogger(__name__)

Result = int | Exception


@dataclass(slots=True)
class Ticket:
    """One waiting change.  ``loop`` is None for a caller outside of any event loop."""

    change: Change
    future: asyncio.Future[int] | concurrent.futures.Future[int]
    loop: asyncio.AbstractEventLoop | None


class GroupCommit:
    """The writer of one SQLite ledger.

    heads: per org the chain's head and the highest sequence number used; sequence: the highest drawn until now;
    today: the day whose data key seals; recent: told what was committed, before its callers are.  After an I/O error it writes nothing any more (``trouble`` says why): a
    failed sync is never retried.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keys: DataKeys,
        reserve: Reserve,
        heads: dict[str, Head],
        sequence: Callable[[str], int],
        today: Callable[[], str],
        recent: RecentRecords,
    ) -> None:
        self.trouble = ""
        self._connection = connection
        self._keys = keys
        self._reserve = reserve
        self._heads = heads
        self._sequence = sequence
        self._today = today
        self._recent = recent
        self._data_key: DataKey | None = None
        self._facts = StoredFacts(connection)
        self._waiting: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def put(self, ticket: Ticket) -> None:
        self._waiting.put(ticket)

    def close(self) -> None:
        """Write what waits, then end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch: list[Ticket] = []
            ticket = self._waiting.get()
            while ticket is not None:
                batch.append(ticket)
                if len(batch) == BATCH_MAX:
                    break
                try:
                    ticket = self._waiting.get_nowait()
                except queue.Empty:
                    break
            else:
                is_open = False
            if batch:
                _tell(batch, self._results(batch))

    def _results(self, batch: list[Ticket]) -> list[Result]:
        if not self.trouble:
            try:
                return self._commit_in_reserve(batch)
            except Exception as exc:  # whatever it is: callers must hear it, and nothing more is written
                self.trouble = f"{type(exc).__name__}: {exc}"
                _log.critical("the ledger stops: %s", self.trouble)
        return [LedgerUnavailable(f"the ledger stopped: {self.trouble}")] * len(batch)

    def _commit_in_reserve(self, batch: list[Ticket]) -> list[Result]:
        try:
            return self._commit(batch)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._roll_back()
            if not self._reserve.give_up():
                raise
            _log.critical("the disk is full: the ballast was given up; only work under way is written")
        return self._commit(batch)

    def _commit(self, batch: list[Ticket]) -> list[Result]:
        try:
            return self._transact(batch, self._attempt)
        except Exception as exc:
            if not _is_callers_fault(exc):
                raise
            self._connection.execute("ROLLBACK")
        return self._transact(batch, self._attempt_apart)

    def _transact(self, batch: list[Ticket], attempt: Callable[[Transaction, Change], Result]) -> list[Result]:
        self._connection.execute("BEGIN IMMEDIATE")
        key = self._key_of_today()
        transaction = Transaction(self._connection, key, self._keys.master, dict(self._heads))
        is_low = self._reserve.is_low()
        results = [
            _refused_for_room() if is_low and opens_work(ticket.change) else attempt(transaction, ticket.change)
            for ticket in batch
        ]
        for org in {ticket.change.org for ticket in batch}:
            self._save_head(org, transaction.heads.get(org) or Head(0, START))
        self._connection.execute("COMMIT")
        self._heads.update(transaction.heads)
        for written in transaction.written:
            self._recent.keep(written)
        stored = [ticket.change for ticket, result in zip(batch, results, strict=True) if isinstance(result, int)]
        self._recent.aliases.written(stored)
        self._keys.remember(key)
        self._data_key = key
        return results

    def _attempt(self, transaction: Transaction, change: Change) -> Result:
        return transaction.write(change, in_place=True)

    def _attempt_apart(self, transaction: Transaction, change: Change) -> Result:
        self._connection.execute("SAVEPOINT one_change")
        result: Result
        try:
            result = transaction.write(change)
        except Exception as exc:  # this caller's fault alone: the rest of the batch goes on
            if not _is_callers_fault(exc):
                raise
            self._connection.execute("ROLLBACK TO one_change")
            result = self._explained(change, exc)
        self._connection.execute("RELEASE one_change")
        return result

    def _explained(self, change: Change, cause: Exception) -> Exception:
        if isinstance(cause, (Superseded, sqlite3.IntegrityError)):
            return conflict_of(change, self._facts) or ValueError(f"the ledger can't hold this change: {cause}")
        return cause

    def _key_of_today(self) -> DataKey:
        day = self._today()
        if self._data_key is not None and self._data_key.day == day:
            return self._data_key
        row = self._connection.execute(sql.SELECT_DATA_KEY_OF_DAY, (day,)).fetchone()
        if row is not None:
            return self._keys.of(row[0])
        last: int = self._connection.execute(sql.SELECT_LAST_DATA_KEY).fetchone()[0]
        key = self._keys.master.new_data_key(last + 1, day)
        self._connection.execute(sql.SAVE_DATA_KEY, (key.key_id, key.day, key.wrapped))
        return key

    def _save_head(self, org: str, head: Head) -> None:
        seal = self._keys.master.head_seal(org, head.seq, head.hash)
        self._connection.execute(sql.SAVE_HEAD, (org, head.seq, head.hash, seal, self._sequence(org)))

    def _roll_back(self) -> None:
        """SQLite does it itself in some cases of a full disk, but promises it in none."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


_CALLERS_FAULTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError)


def _is_callers_fault(exc: Exception) -> bool:
    """Not the database's: nothing is wrong but with the change."""
    return not isinstance(exc, sqlite3.DatabaseError) or isinstance(exc, _CALLERS_FAULTS)


def _refused_for_room() -> LedgerUnavailable:
    return LedgerUnavailable("the disk is nearly full", message_zh="磁盘空间不足，暂停受理新业务")


def _tell(batch: list[Ticket], results: list[Result]) -> None:
    """Resolve the futures, with one wake-up per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[Ticket, Result]]] = {}
    for ticket, result in zip(batch, results, strict=True):
        by_loop.setdefault(ticket.loop, []).append((ticket, result))
    for loop, answers in by_loop.items():
        if loop is None:
            _resolve(answers)
        else:
            with contextlib.suppress(RuntimeError):  # that loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[tuple[Ticket, Result]]) -> None:
    for ticket, result in answers:
        if ticket.future.done():  # its caller was cancelled meanwhile
            continue
        if isinstance(result, Exception):
            ticket.future.set_exception(result)
        else:
            ticket.future.set_result(result)
