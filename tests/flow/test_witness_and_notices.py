"""A ledger that lost its tail lets nothing out; planned downtime is told before a message is played."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.site import current_notices
from adapter_core.config import load_config
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import LedgerDamaged
from tests.flow.hospital import Hospital, config_text, message

WITNESSED = '[ledger]\nwitness_file = "witness"\n'


def config(folder: Path, centre: Simulator, more: str) -> Path:
    text = config_text(centre.url)
    assert "[ledger]\n" in text
    path = folder / "his-adapter.toml"
    path.write_text(more + text if more.startswith("notices") else text.replace("[ledger]\n", more), "utf-8")
    return path


async def settled(path: Path, centre: Simulator, key: str) -> str:
    async with adapter(load_config(path)) as running:
        return (await Hospital(centre, running, path.parent).say(message(settle_key=key, visit_key=key))).state


async def test_a_restored_backup_is_found_before_anything_leaves(centre: Simulator, folder: Path) -> None:
    path = config(folder, centre, WITNESSED)
    assert await settled(path, centre, "K1") == "SETTLED"
    backup = folder / "backup"
    backup.mkdir()
    for one in folder.glob("ledger.db*"):
        shutil.copy(one, backup)
    assert await settled(path, centre, "K2") == "SETTLED"
    for one in folder.glob("ledger.db*"):
        one.unlink()
    for one in backup.iterdir():
        shutil.copy(one, folder)
    sent = len(centre.entries)
    with pytest.raises(LedgerDamaged, match="lost its tail"):
        await settled(path, centre, "K3")
    assert len(centre.entries) == sent


async def test_with_its_witness_whole_a_ledger_goes_on(centre: Simulator, folder: Path) -> None:
    path = config(folder, centre, WITNESSED)
    assert [await settled(path, centre, key) for key in ("K1", "K2", "K1")] == ["SETTLED"] * 3


def test_planned_downtime_is_told_while_it_lasts(centre: Simulator, folder: Path) -> None:
    rows = [
        ("2000-01-01 00:00:00", "2999-01-01 00:00:00", "全省停机"),
        ("2000-01-01 00:00:00", "2000-01-02 00:00:00", "旧"),
    ]
    text = "".join(
        f'[[notices]]\nadmdvs = "36"\nfrom = "{start}"\nto = "{end}"\ntext = "{said}"\nsource = "测试公告"\n'
        for start, end, said in rows
    )
    (folder / "notices.toml").write_text(text, "utf-8")
    path = config(folder, centre, 'notices_file = "notices.toml"\n')
    assert [notice.text for notice in current_notices(load_config(path))] == ["全省停机"]
