"""Backup, restore drill, archive, upgrade and the list before going live, on a ledger that real settlements wrote."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_core.cli.operating import check_golive
from adapter_core.config import Config, load_config
from adapter_core.ledger import migrations
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.operations.archive import archive_year, verify_archive
from adapter_core.operations.backup import back_up, drill, last_drill, newest_backup, read_manifest
from adapter_core.operations.chain_check import inspected
from adapter_core.operations.golive import golive_rows
from adapter_core.operations.site import NewSite, make_site
from adapter_core.operations.upgrade import rehearse, stored_schema, upgrade
from adapter_core.values.errors import ConfigError, LedgerDamaged
from tests.flow.conftest import Opening
from tests.flow.hospital import ORG, Hospital, message


def site(hospital: Hospital) -> Config:
    return load_config(hospital.folder / "his-adapter.toml")


async def test_a_backup_is_taken_while_the_service_writes_and_can_be_restored(hospital: Hospital) -> None:
    await hospital.say(message())
    config = site(hospital)
    folder = hospital.folder / "backups"
    writing = asyncio.create_task(hospital.say(message(settle_key="K2", visit_key="V2")))
    made = await asyncio.to_thread(back_up, config, folder)
    await writing
    assert newest_backup(folder) == made.path
    assert os.stat(made.path).st_mode & 0o077 == 0
    await hospital.say(message(settle_key="K3", visit_key="V3"))
    done = await asyncio.to_thread(drill, config, made.path)
    assert done.events == made.heads[ORG][0]
    assert done.cases >= 1
    assert done.behind > 0
    record = last_drill(config)
    assert record is not None
    assert record["with_key_copy"] is False
    assert sorted(path.suffix for path in folder.iterdir()) == [".db", ".json"]


async def test_a_drill_finds_a_backup_that_was_changed_or_is_another_ledgers(
    hospital: Hospital, tmp_path: Path
) -> None:
    await hospital.say(message())
    config = site(hospital)
    made = back_up(config, tmp_path / "backups")
    manifest = read_manifest(made.path)
    with sqlite3.connect(made.path) as file:
        file.execute("UPDATE cases SET cash_fen = 1")
    file.close()
    with pytest.raises(LedgerDamaged, match="digest differs"):
        drill(config, made.path)
    other = tmp_path / "other.key"
    create_master_key(other)
    made = back_up(config, tmp_path / "again")
    with pytest.raises(ConfigError, match="sealed with master key"):
        drill(config, made.path, other)
    manifest["heads"][ORG]["hash"] = "00" * 32
    made.manifest.write_text(json.dumps({**read_manifest(made.path), "heads": manifest["heads"]}), "utf-8")
    with pytest.raises(LedgerDamaged, match="doesn't contain"):
        drill(config, made.path)
    assert last_drill(config) is None


async def test_a_year_goes_on_the_shelf_and_verifies_alone(hospital: Hospital, tmp_path: Path) -> None:
    await hospital.say(message())
    config = site(hospital)
    year = int((await hospital.case()).opened_at[:4])
    [made] = archive_year(config, year, tmp_path / "shelf")
    assert archive_year(config, year - 2, tmp_path / "shelf") == []
    assert inspected(config).is_whole
    keys = read_master_key(config.master_key_path)
    for master in (None, keys):
        verdict = verify_archive(made.path, master)
        assert (verdict.is_whole, verdict.org, verdict.events) == (True, ORG, made.last)
    assert made.first == 1
    with pytest.raises(ConfigError, match="never overwritten"):
        archive_year(config, year, tmp_path / "shelf")
    lines = made.path.read_bytes().splitlines(keepends=True)
    for changed in (lines[:-1], [*lines[:-2], lines[-1]], [*lines[:-2], lines[-1], lines[-2]]):
        made.path.write_bytes(b"".join(changed))
        assert not verify_archive(made.path).is_whole
    head = json.loads(lines[0])
    head["until"]["seal"] = "00" * 32
    made.path.write_bytes(b"".join([json.dumps(head).encode() + b"\n", *lines[1:]]))
    assert verify_archive(made.path).is_whole
    assert "not written under this master key" in verify_archive(made.path, keys).reason


async def test_a_year_that_began_within_the_chain_verifies_from_there(hospital: Hospital, tmp_path: Path) -> None:
    """The journal's own times are moved, as if half of it were of last year; the chain over them is not, so only the file can tell."""
    await hospital.say(message())
    config = site(hospital)
    year = int((await hospital.case()).opened_at[:4])
    made = archive_year(config, year, tmp_path / "shelf")[0]
    lines = made.path.read_bytes().splitlines(keepends=True)
    events = [line for line in lines if b'"seq"' in line and b'"format"' not in line]
    third = json.loads(events[2])
    head = json.loads(lines[0])
    head["after"] = {"seq": third["seq"], "hash": third["hash"]}
    made.path.write_bytes(b"".join([json.dumps(head).encode() + b"\n", *events[3:]]))
    assert verify_archive(made.path, read_master_key(config.master_key_path)).is_whole
    made.path.write_bytes(b"".join([json.dumps(head).encode() + b"\n", *events[4:]]))
    assert verify_archive(made.path).broken_seq == third["seq"] + 1


NEXT_REVISION = """
import sqlalchemy as sa
from alembic import op
revision = "{version}"
down_revision = "{before}"
def upgrade():
    op.add_column("calls", sa.Column("note", sa.Text, nullable=False, server_default=""))
"""


def next_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """From now on this program is one version newer."""
    version = migrations.SCHEMA_VERSION + 1
    shutil.copytree(migrations.FOLDER / "versions", folder / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    text = NEXT_REVISION.format(version=version, before=version - 1)
    (folder / "versions" / f"version_{version}.py").write_text(text, "utf-8")
    monkeypatch.setattr(migrations, "FOLDER", folder)
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", version)
    return version


async def test_an_upgrade_is_rehearsed_beside_the_service_and_done_when_it_stopped(
    lives: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = await lives()
    await hospital.say(message())
    config = site(hospital)
    before = stored_schema(config.ledger_path)
    with monkeypatch.context() as newer:
        after = next_version(tmp_path / "next", newer)
        rehearsed = rehearse(config)
        assert (rehearsed.before, rehearsed.after) == (before, after)
        assert stored_schema(config.ledger_path) == before
        with pytest.raises(ConfigError, match="open in another process"):
            upgrade(config, hospital.folder / "backups", say=lambda line: None)
        await hospital.running.pipeline.close()
        stopped = hospital.running.ledger
        stopped.close()  # type: ignore[unused-coroutine]
        done = upgrade(config, hospital.folder / "backups", say=lambda line: None)
        assert (done.before, done.after) == (before, after)
        assert done.backup is not None
        assert inspected(config).is_whole
    with pytest.raises(ConfigError, match=r"^the ledger was written by a newer his-adapter .*: install that version$"):
        stored_schema(config.ledger_path)
    done.backup.replace(config.ledger_path)
    for tail in ("-wal", "-shm"):
        config.ledger_path.with_name(config.ledger_path.name + tail).unlink(missing_ok=True)


HOLDER = "import sys, time; from pathlib import Path; from adapter_core.ledger.writer_lock import WriterLock; \
lock = WriterLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process with kill")
def test_an_upgrade_stops_the_service_before_it_and_starts_it_after_it(tmp_path: Path) -> None:
    config = make_site(tmp_path / "site", NewSite(ORG, "测试医院", "360100", "http://127.0.0.1:1/", plain_http="tests"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(config.ledger_path)], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="open in another process"):
            upgrade(config, tmp_path / "backups", say=lambda line: None)
        assert not (tmp_path / "backups").exists()
        start = [sys.executable, "-c", f"open({str(tmp_path / 'started')!r}, 'w')"]
        done = upgrade(config, tmp_path / "backups", ["kill", str(service.pid)], start, say=lambda line: None)
    assert done.backup is not None
    assert done.backup.exists()
    assert (tmp_path / "started").exists()


def test_a_service_manager_that_refuses_stops_the_upgrade(tmp_path: Path) -> None:
    config = make_site(tmp_path / "site", NewSite(ORG, "测试医院", "360100", "http://127.0.0.1:1/", plain_http="tests"))
    with pytest.raises(ConfigError, match="no-such-program"):
        upgrade(config, tmp_path / "backups", ["no-such-program"], say=lambda line: None)
    assert not (tmp_path / "backups").exists()


async def test_the_list_before_going_live_is_red_for_a_test_site_and_names_what_to_do(
    hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row.name: row for row in await golive_rows(site(hospital), hospital.folder / "backups")}
    red = {name for name, row in rows.items() if not row.green}
    assert {"环境", "机构", "网关地址", "调用方", "见证文件", "锚点副本", "告警", "备份", "恢复演练"} <= red
    assert {"科别", "服务监听", "账本", "未决业务"}.isdisjoint(red)
    code = await check_golive(hospital.folder / "his-adapter.toml", True, None, True)
    told = json.loads(capsys.readouterr().out)
    assert code == 2
    assert told["ready"] is False


async def test_backup_and_key_copy_turn_their_rows_green(hospital: Hospital, tmp_path: Path) -> None:
    await hospital.say(message())
    config = site(hospital)
    copy = tmp_path / "safe.key"
    copy.write_bytes(config.master_key_path.read_bytes())
    copy.chmod(0o600)
    made = back_up(config, hospital.folder / "backups")
    drill(config, made.path)
    rows = {row.name: row for row in await golive_rows(config, hospital.folder / "backups")}
    assert rows["备份"].green
    assert "副本" in rows["恢复演练"].text
    assert not rows["恢复演练"].green
    drill(config, made.path, copy)
    rows = {row.name: row for row in await golive_rows(config, hospital.folder / "backups")}
    assert rows["恢复演练"].green
