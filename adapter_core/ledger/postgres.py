"""The ledger on PostgreSQL: several replicas write one database.

A case is claimed by an ordinary change (owner, epoch one higher, version one higher): the version is the fence, and the
partial unique index holds the visit.  Nothing here waits for anything but the database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from adapter_core.ledger import postgres_setup
from adapter_core.ledger import projections as sql
from adapter_core.ledger.conflicts import refuse_malformed
from adapter_core.ledger.postgres_commit import Committer
from adapter_core.ledger.postgres_session import PATIENCE_S, Database, Lineage
from adapter_core.ledger.reading import StoredLedger
from adapter_core.ledger.sealing import DataKeys, MasterKey
from adapter_core.settlement.records import Change
from adapter_core.values.errors import LedgerUnavailable
from adapter_core.values.moments import Clock

BLOCK = 500
"""How many sequence numbers a replica draws before it needs the database again.  Small beside a msgid's 10 000, so that
replicas seldom meet on the same four digits in one second."""

_NEXT_BLOCK = (
    "INSERT INTO meta (name, value) VALUES ('sequence_block', '1') "
    "ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text RETURNING value"
)
_REMEMBER_NONCE = (
    "WITH ended AS (DELETE FROM nonces WHERE until < ?) INSERT INTO nonces (key_id, nonce, until) VALUES (?, ?, ?) "
    "ON CONFLICT DO NOTHING RETURNING key_id"
)
_WITNESS = "witness "
_WITNESSES = f"SELECT name, value FROM meta WHERE starts_with(name, '{_WITNESS}') ORDER BY name"
_SELECT_DATA_KEYS = "SELECT key_id, day, wrapped FROM data_keys WHERE key_id = ANY(?)"


class SequenceBlocks:
    """Numbers from blocks this replica alone has, so no two replicas draw the same; each org counts for itself."""

    def __init__(self) -> None:
        self._blocks: list[int] = []
        self._drawn: Counter[str] = Counter()

    def add(self, block: int) -> None:
        """``block``: 1, 2, 3 …, each higher than all before."""
        self._blocks.append(block)

    @property
    def is_low(self) -> bool:
        """Some org draws from the last block already."""
        return max(self._drawn.values(), default=0) > BLOCK * (len(self._blocks) - 1)

    def draw(self, org: str) -> int:
        """Raises: LedgerUnavailable when all blocks are used up: the database gave no new one for long."""
        if self._drawn[org] >= BLOCK * len(self._blocks):
            raise LedgerUnavailable("no sequence numbers are left until the ledger can be written again")
        self._drawn[org] += 1
        return self.drawn(org)

    def drawn(self, org: str) -> int:
        if not self._drawn[org]:
            return 0
        block, place = divmod(self._drawn[org] - 1, BLOCK)
        return (self._blocks[block] - 1) * BLOCK + place + 1


class PostgresLedger(StoredLedger):
    """Satisfies `settlement.ports.Ledger`.  Open with `open` in the event loop that uses it, end with ``await close()``
    (or ``async with``).

    recorded: the lineage the ledger was in when it was opened, None for a new one.
    """

    def __init__(
        self, database: Database, keys: MasterKey, clock: Clock, recorded: Lineage | None, writes: bool
    ) -> None:
        super().__init__(DataKeys(keys, lambda key_id: None))
        self.recorded = recorded
        self._database = database
        self._writes = writes
        self._numbers = SequenceBlocks()
        self._takes_block = False
        self._under_way: set[asyncio.Task[int]] = set()

        def today() -> str:
            return clock.wall().astimezone(UTC).date().isoformat()

        self._committer = Committer(database, self._keys, self._numbers.drawn, today)

    @classmethod
    async def open(
        cls,
        url: str,
        keys: MasterKey,
        *,
        environment: str,
        clock: Clock,
        read_only: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> PostgresLedger:
        """Open the ledger, or make it where there is none; the server and every chain are checked first.

        url: ``postgresql://…`` as libpq reads it.  environment, read_only: as for `SqliteLedger.open`.  patience_s: how
        long to wait for a lock or a connection; whatever the server is asked ends after four times that.
        Raises: ConfigError (server not durable, wrong key or environment, newer schema), LedgerDamaged,
        LedgerUnavailable.
        """
        database = Database(url, patience_s, read_only)
        check = postgres_setup.check_readable if read_only else postgres_setup.prepare
        recorded = await asyncio.to_thread(check, database.settings, environment, keys)
        ledger = cls(database, keys, clock, recorded, writes=not read_only)
        await database.open()
        try:
            if not read_only:
                for _ in range(2):
                    await ledger._take_block()
        except BaseException:
            await database.close()
            raise
        return ledger

    async def close(self) -> None:
        """Write what waits, then let go of the connections."""
        self._writes = False
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._database.close()

    async def __aenter__(self) -> PostgresLedger:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def lineage(self) -> Lineage:
        """Of the newest connection."""
        return self._database.lineage

    @property
    def connections(self) -> int:
        """How many were opened so far.  When it moved, or the lineage did, compare the witness before anything leaves."""
        return self._database.connections

    async def record_lineage(self) -> None:
        """The present lineage is the ledger's from now on: the witness was compared.  Raises: LedgerUnavailable."""
        lineage = self.lineage
        await self._database.rows(f"{sql.REPLACE_META} RETURNING name", *postgres_setup.lineage_fact(lineage))
        self.recorded = lineage

    async def compared(self, witness: str, is_whole: bool) -> list[str]:
        """Note whether the witness of that name found all it knows.  Returns the names of other replicas' that did not, or were
        not compared since the database became what it is (another timeline, another server): it may lack what they saw.

        Raises: LedgerUnavailable.
        """
        lineage = " ".join(self.lineage)
        mine = (f"{_WITNESS}{witness}", lineage if is_whole else "behind")
        await self._database.rows(f"{sql.REPLACE_META} RETURNING name", *mine)
        rows = await self._database.rows(_WITNESSES)
        return [name.removeprefix(_WITNESS) for name, known in rows if name != mine[0] and known != lineage]

    async def forget_witness(self, witness: str) -> bool:
        """Wait for it no more: its replica is gone for good, file and all.  False when there was none of that name."""
        return bool(await self._database.rows("DELETE FROM meta WHERE name = ? RETURNING name", f"{_WITNESS}{witness}"))

    async def remember_nonce(self, key_id: str, nonce: str, now: int, until: int) -> bool:
        """Keep a signed call's nonce until then (unix seconds), for all replicas.  False when it is kept already.

        Raises: LedgerUnavailable.
        """
        return bool(await self._database.rows(_REMEMBER_NONCE, now, key_id, nonce, until))

    async def commit(self, change: Change) -> int:
        """As the port says.  A caller cancelled meanwhile doesn't know: the change may still land."""
        refuse_malformed(change)
        if not self._writes:
            raise LedgerUnavailable("the ledger can't be written: it is closed, or was opened read-only")
        # A task of its own: a caller that leaves must not break off a COMMIT.
        task = asyncio.get_running_loop().create_task(self._commit(change))
        self._under_way.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    async def _commit(self, change: Change) -> int:
        seq = await self._committer.commit(change)
        if self._numbers.is_low and not self._takes_block:
            self._takes_block = True
            with contextlib.suppress(LedgerUnavailable):  # the change is stored; the next commit tries again
                await self._take_block()
            self._takes_block = False
        return seq

    def _landed(self, task: asyncio.Task[int]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: its caller may have left

    async def _take_block(self) -> None:
        rows = await self._database.rows(_NEXT_BLOCK)
        self._numbers.add(int(rows[0][0]))

    def sequence(self, org: str) -> int:
        if not self._writes:
            raise LedgerUnavailable("a ledger that can't be written draws no numbers")
        return self._numbers.draw(org)

    async def _open_keys(self, key_ids: Iterable[int]) -> None:
        closed = sorted({key_id for key_id in key_ids if not self._keys.is_open(key_id)})
        if closed:
            for key_id, day, wrapped in await self._database.rows(_SELECT_DATA_KEYS, closed):
                self._keys.remember(self._keys.master.open_data_key(key_id, day, wrapped))

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        return await self._database.rows(statement, *parameters)
