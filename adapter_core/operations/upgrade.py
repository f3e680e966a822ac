"""`upgrade`: stop (the service drains), back up, migrate, check the chain, start.  `rehearse` does the same on a copy.

It is run with the new version's program.  Whatever fails before the migration leaves the ledger as it was; the migration is one
transaction; what fails after it is told with the backup's name.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config
from adapter_core.ledger import binding, migrations, sqlite_file
from adapter_core.ledger.sealing import read_master_key
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.ledger.writer_lock import WriterLock
from adapter_core.operations.backup import Progress, back_up, no_progress
from adapter_core.operations.chain_check import complaint, inspected
from adapter_core.values.errors import ConfigError, LedgerDamaged

RELEASED_WITHIN_S = 60.0
"""A service that was told to stop drains first; so long it may take to let go of the ledger."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """before, after: schema versions.  backup: None for PostgreSQL and rehearsals.  seconds: without the drain."""

    before: int
    after: int
    backup: Path | None
    seconds: float


def upgrade(
    config: Config,
    backups: Path,
    stop: Sequence[str] = (),
    start: Sequence[str] = (),
    say: Say = print,
    progress: Progress = no_progress,
) -> Upgraded:
    """The whole way.  stop, start: the service manager's commands as argument lists; none when a person does it.

    Raises: ConfigError (the ledger is in use, or a newer version's), LedgerDamaged, LedgerUnavailable.
    """
    if config.is_shared:
        raise ConfigError(
            "PostgreSQL: back up with pg_dump, then restart the replicas one by one; the first migrates (docs/how-to/upgrade.md)",
            message_zh="PostgreSQL 账本：先用 pg_dump 备份，再逐个重启副本，第一个副本会完成升级",
        )
    before = stored_schema(config.ledger_path)
    if stop:
        say("停止服务（在途业务先办完）……")
        _run(stop)
    _wait_until_released(config.ledger_path, RELEASED_WITHIN_S if stop else 0.0)
    began = time.monotonic()
    say("备份账本……")
    saved = back_up(config, backups, progress)
    say(f"备份在 {saved.path}；升级账本 {before} → {migrations.SCHEMA_VERSION} ……")
    try:
        _open_once(config, config.ledger_path)
        say("核验整本账的链条……")
        wrong = complaint(inspected(config))
    except Exception:
        say(f"升级未完成。账本可用 {saved.path} 恢复，见 docs/how-to/backup.md")
        raise
    if wrong:
        raise LedgerDamaged(f"after the migration the ledger doesn't verify: {wrong}; restore {saved.path}")
    done = Upgraded(before, stored_schema(config.ledger_path), saved.path, time.monotonic() - began)
    if start:
        say("启动服务……")
        _run(start)
    return done


def rehearse(config: Config, progress: Progress = no_progress) -> Upgraded:
    """The same on a copy in a folder of its own, beside the running service.  Nothing that exists is touched."""
    before = stored_schema(config.ledger_path)
    with tempfile.TemporaryDirectory(prefix="his-adapter-rehearsal-") as scratch:
        copy = back_up(config, Path(scratch), progress).path
        began = time.monotonic()
        _open_once(config, copy)
        keys = read_master_key(config.master_key_path)
        with closing(sqlite_file.connect_reader(copy)) as reader:
            broken = [one for one in sqlite_file.verify_chains(reader, keys) if not one.is_whole]
        if broken:
            raise LedgerDamaged(f"the migrated copy doesn't verify: {broken[0].org}: {broken[0].reason}")
        return Upgraded(before, stored_schema(copy), None, time.monotonic() - began)


def stored_schema(path: Path) -> int:
    """The schema version of a ledger file.  Raises: ConfigError for a newer version's, in one clear line."""
    with closing(sqlite_file.connect_reader(path)) as reader:
        return binding.schema_version(sqlite_file.read_meta(reader))


def _open_once(config: Config, path: Path) -> None:
    """As the service would at its start: the lock, every chain, the migration in one transaction."""
    keys = read_master_key(config.master_key_path)
    environment = config.settings.environment
    SqliteLedger.open(path, keys, environment=environment, clock=SystemClock(), ballast_bytes=0).close()


def _wait_until_released(path: Path, patience_s: float) -> None:
    """Raises: ConfigError when a process holds the ledger for longer than a drain takes."""
    until = time.monotonic() + patience_s
    while True:
        try:
            WriterLock(path).release()
            return
        except ConfigError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.2)


def _run(command: Sequence[str]) -> None:
    """Raises: ConfigError when the service manager refuses."""
    try:
        subprocess.run(command, check=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{' '.join(command)}: {error}") from error
