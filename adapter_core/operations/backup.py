"""Online backup of an SQLite ledger, and the drill that proves a backup can be restored.

A backup is the ledger's file as it stood at one moment, and beside it what it must contain.  It holds ciphertext only: without
the master key, which is kept elsewhere, nobody reads it and nobody restores it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config
from adapter_core.ledger import binding, sqlite_file
from adapter_core.ledger import projections as sql
from adapter_core.ledger.sealing import MasterKey, read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.ledger.writer_lock import sync_folder
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable
from adapter_core.values.moments import china, iso

PAGES = 4096
"""Copied in one go: 16 MB, so that a bar can move."""
DRILL_RECORD = "restore-drill.json"
Progress = Callable[[int, int], None]
"""Told how many pages are done, and of how many."""


def no_progress(done: int, of: int) -> None:
    """For who shows none."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup.  heads: per institution the last event's number and link."""

    path: Path
    manifest: Path
    heads: Mapping[str, tuple[int, str]]
    bytes: int


def back_up(config: Config, folder: Path, progress: Progress = no_progress) -> Backup:
    """Copy the ledger while the service writes on; the copy is checked before it gets its name.

    Raises: ConfigError (PostgreSQL: use pg_dump), LedgerUnavailable, LedgerDamaged.
    """
    if config.is_shared:
        raise ConfigError(
            "the ledger is on PostgreSQL: back it up with pg_dump or the server's own tools, see docs/how-to/backup.md",
            message_zh="账本在 PostgreSQL 上，请用 pg_dump 或数据库自带的备份",
        )
    keys = read_master_key(config.master_key_path)
    moment = SystemClock().wall()
    name = f"ledger-{china(moment):%Y%m%d-%H%M%S}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / f"{name}.part"
    try:
        _copy(config.ledger_path, unfinished, progress)
        facts = _facts(unfinished, keys)
    except (sqlite3.Error, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise LedgerUnavailable(f"the ledger can't be copied to {folder}: {error}") from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    path, manifest = folder / f"{name}.db", folder / f"{name}.json"
    body = {"made_at": iso(moment), "file": path.name, "sha256": _digest(unfinished), **facts}
    _write_synced(manifest, json.dumps(body, ensure_ascii=False, indent=2).encode() + b"\n")
    unfinished.rename(path)
    sync_folder(folder)
    heads = {org: (int(head["seq"]), str(head["hash"])) for org, head in facts["heads"].items()}
    return Backup(path, manifest, heads, path.stat().st_size)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """SQLite's backup of one snapshot: the open reading transaction keeps it from starting over at every write."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite_file.connect_reader(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.execute("BEGIN")
        reader.execute(sql.SELECT_META).fetchall()
        reader.backup(writer, pages=PAGES, progress=lambda status, left, of: progress(of - left, of), sleep=0)
        writer.execute("PRAGMA journal_mode = DELETE")
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _facts(path: Path, keys: MasterKey) -> dict[str, Any]:
    """What the copy contains, after all of it was checked; also of an older version.  Raises: LedgerDamaged, ConfigError."""
    with closing(sqlite_file.connect_reader(path)) as reader:
        meta = sqlite_file.read_meta(reader)
        binding.check_key(meta, keys)
        complaint = sqlite_file.quick_check(reader)
        chains = [] if complaint else sqlite_file.verify_chains(reader, keys)
        complaint = complaint or next((f"{one.org}: {one.reason}" for one in chains if not one.is_whole), "")
        if complaint:
            raise LedgerDamaged(f"the ledger doesn't verify: {complaint}")
        cases = reader.execute("SELECT count(*) FROM cases").fetchone()[0]
    return {
        "schema_version": binding.schema_version(meta),
        "environment": meta["environment"],
        "master_key": meta["master_key"],
        "cases": cases,
        "heads": {chain.org: {"seq": chain.events, "hash": chain.head} for chain in chains},
    }


@dataclass(frozen=True, slots=True)
class Drill:
    """What a rehearsed restore showed.  events, cases: of the backup; behind: how many events the running ledger has more."""

    schema_before: int
    schema_after: int
    events: int
    cases: int
    behind: int
    restore_s: float


def drill(config: Config, backup: Path, master_key: Path | None = None) -> Drill:
    """Restore a backup into a folder of its own, as a real restore would, and prove it: file, chains, key, migration, and that
    it is an earlier state of this very ledger.  Nothing that exists is touched; the record of it is what `golive` asks for.

    master_key: the copy of the key that would be used after a fire; without it the running ledger's own proves less.
    Raises: ConfigError, LedgerDamaged, LedgerUnavailable.
    """
    keys = read_master_key(master_key or config.master_key_path)
    expected = read_manifest(backup)
    with tempfile.TemporaryDirectory(prefix="his-adapter-drill-") as scratch:
        began = time.monotonic()
        restored = Path(scratch) / "ledger.db"
        shutil.copyfile(backup, restored)
        if _digest(restored) != expected["sha256"]:
            raise LedgerDamaged(f"{backup.name} is not the file that was backed up: its digest differs")
        _open_once(restored, keys, config.settings.environment)
        facts = _facts(restored, keys)
        if facts["heads"] != expected["heads"]:
            raise LedgerDamaged(f"{backup.name} doesn't contain what its manifest says")
        behind = _behind(config, facts["heads"])
        done = Drill(
            expected["schema_version"],
            facts["schema_version"],
            sum(head["seq"] for head in facts["heads"].values()),
            facts["cases"],
            behind,
            time.monotonic() - began,
        )
    record = {
        "at": iso(SystemClock().wall()),
        "backup": backup.name,
        "with_key_copy": master_key is not None,
        **asdict(done),
    }
    _write_synced(config.folder / DRILL_RECORD, json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return done


def read_manifest(backup: Path) -> dict[str, Any]:
    """Raises: ConfigError."""
    manifest = backup.with_suffix(".json")
    try:
        found: dict[str, Any] = json.loads(manifest.read_text("utf-8"))
        _ = found["sha256"], found["heads"], found["schema_version"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"no manifest {manifest.name} beside {backup.name}: {type(error).__name__}") from error
    return found


def _open_once(path: Path, keys: MasterKey, environment: str) -> None:
    """As the service would at its start: locks, checks every chain, migrates where it is older."""
    SqliteLedger.open(
        path, keys, environment=environment, clock=SystemClock(), ballast_bytes=0, free_bytes_min=0
    ).close()


def _behind(config: Config, heads: Mapping[str, Mapping[str, Any]]) -> int:
    """How many events the running ledger has more; 0 where there is none.  Raises: LedgerDamaged when it is another ledger."""
    if not config.ledger_path.exists():
        return 0
    more = 0
    with closing(sqlite_file.connect_reader(config.ledger_path)) as reader:
        now = {org: head.seq for org, (head, _) in sqlite_file.read_heads(reader).items()}
        for org, head in heads.items():
            rows = reader.execute("SELECT hash FROM journal WHERE org = ? AND seq = ?", (org, head["seq"])).fetchall()
            if head["seq"] and [row[0].hex() for row in rows] != [head["hash"]]:
                raise LedgerDamaged(
                    f"the backup is no earlier state of this ledger: {org} differs at event {head['seq']}"
                )
            more += now.get(org, 0) - head["seq"]
    return more


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def last_drill(config: Config) -> dict[str, Any] | None:
    """The record of the last drill that succeeded."""
    try:
        found: dict[str, Any] = json.loads((config.folder / DRILL_RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found


def newest_backup(folder: Path) -> Path | None:
    """The last finished backup in a folder."""
    return max((path for path in folder.glob("ledger-*.db") if path.with_suffix(".json").exists()), default=None)
