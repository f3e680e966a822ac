"""Anchors over real ledgers: what was cut off, replaced or forged shows, and a copy catches up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapter_core.formats.guomi import sm2
from adapter_core.ledger.anchor_keys import HmacAnchorKey, create_anchor_key, read_anchor_key
from adapter_core.ledger.anchors import EVERY_EVENTS, Anchor, Anchored, Anchors, read_anchors
from adapter_core.ledger.inspection import verify
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Change
from adapter_core.values.errors import ConfigError, LedgerDamaged
from tests.clocks import HandClock

from .ledger_contract import ORG, event
from .postgres_server import TestServer, postgres_server

MASTER = MasterKey(bytes(range(32)))


@dataclass
class Office:
    """A ledger with its anchors, their key, and a folder of copies."""

    folder: Path
    clock: HandClock

    def __post_init__(self) -> None:
        create_anchor_key(self.folder / "anchor.key")
        self.copies = self.folder / "copies"
        self.copies.mkdir()
        self.key = read_anchor_key(self.folder / "anchor.key")

    def ledger(self, name: str = "ledger.db") -> SqliteLedger:
        return SqliteLedger.open(
            self.folder / name, MASTER, environment="test", clock=self.clock, ballast_bytes=0, free_bytes_min=0
        )

    def anchors(self) -> Anchors:
        return Anchors(self.folder / "anchors.jsonl", [self.copies], self.key, self.clock)

    async def written(self, ledger: SqliteLedger) -> list[Anchor]:
        anchors = self.anchors()
        found = await anchors.catch_up(ledger)
        anchors.close()
        return found

    def faults(self, *files: str) -> list[str]:
        anchored = Anchored(
            tuple(self.folder / file for file in files or ("anchors.jsonl",)), {self.key.key_id: self.key}
        )
        return [fault for one in verify(self.folder / "ledger.db", MASTER, anchored).anchors for fault in one.faults]


@pytest.fixture(params=["SM2", "HMAC-SM3"])
def office(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    if request.param == "SM2":
        pytest.importorskip("gmssl_pyx", reason="the extra guomi is not installed")
    else:
        monkeypatch.setattr(sm2, "is_available", lambda: False)
    made = Office(tmp_path, HandClock())
    assert made.key.algorithm == request.param
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    found = postgres_server()
    yield found
    found.drop_databases()


def events(count: int) -> Change:
    return Change(ORG, events=(event(),) * count)


async def test_an_anchor_every_thousand_events_and_each_day_that_has_any(office: Office) -> None:
    with office.ledger() as ledger:
        assert await office.written(ledger) == []
        await ledger.commit(events(1))
        assert [one.seq for one in await office.written(ledger)] == [1]
        await ledger.commit(events(EVERY_EVENTS - 1))
        assert await office.written(ledger) == []
        await ledger.commit(events(1))
        assert [one.seq for one in await office.written(ledger)] == [EVERY_EVENTS + 1]
        office.clock.now += timedelta(days=1)
        assert await office.written(ledger) == []
        await ledger.commit(events(1))
        assert [one.seq for one in await office.written(ledger)] == [EVERY_EVENTS + 2]
    assert office.faults("anchors.jsonl", "copies/anchors.jsonl") == []
    assert len(read_anchors(office.copies / "anchors.jsonl")) == 3


async def test_a_journal_cut_short_shows_and_stops_the_start(office: Office) -> None:
    """Cut together with its head, sealed anew by somebody with the master key: the chain alone looks whole."""
    with office.ledger() as ledger:
        await ledger.commit(events(1))
    shutil.copy(office.folder / "ledger.db", office.folder / "before.db")
    with office.ledger() as ledger:
        await ledger.commit(events(2))
        await office.written(ledger)
    for left in office.folder.glob("ledger.db-*"):
        left.unlink()
    shutil.move(office.folder / "before.db", office.folder / "ledger.db")
    assert verify(office.folder / "ledger.db", MASTER).is_whole
    assert office.faults() == [f"{ORG} 3: the journal was cut short: the event isn't there any more"]
    with office.ledger() as ledger:
        anchors = office.anchors()
        with pytest.raises(LedgerDamaged, match="cut short"):
            await anchors.refuse_cut(ledger)
        anchors.close()


async def test_a_journal_written_anew_shows(office: Office) -> None:
    with office.ledger() as ledger:
        await ledger.commit(events(2))
        await office.written(ledger)
    for left in office.folder.glob("ledger.db*"):
        left.unlink()
    with office.ledger() as ledger:
        await ledger.commit(events(2))
    assert office.faults() == [f"{ORG} 2: the journal is another one: the event's hash differs"]


Forge = Callable[[Anchor], Anchor]


@pytest.mark.parametrize(
    ("forge", "fault"),
    [
        (lambda one: replace(one, seq=1), "signature doesn't hold"),
        (lambda one: replace(one, hash="00" * 32), "signature doesn't hold"),
        (lambda one: replace(one, at="2026-01-01T00:00:00Z"), "signature doesn't hold"),
        (lambda one: replace(one, signature="no hex"), "signature doesn't hold"),
        (lambda one: replace(one, key_id="0" * 16), "isn't at hand"),
        (lambda one: replace(one, algorithm="NONE"), "isn't at hand"),
    ],
)
async def test_a_forged_anchor_shows(office: Office, forge: Forge, fault: str) -> None:
    with office.ledger() as ledger:
        await ledger.commit(events(2))
        [anchor] = await office.written(ledger)
    (office.folder / "anchors.jsonl").write_bytes(forge(anchor).line())
    [told] = office.faults()
    assert fault in told


async def test_a_torn_last_line_counts_for_nothing_and_any_other_is_damage(office: Office) -> None:
    file = office.folder / "anchors.jsonl"
    with office.ledger() as ledger:
        await ledger.commit(events(1))
        [anchor] = await office.written(ledger)
    file.write_bytes(anchor.line() + anchor.line()[:20])
    assert read_anchors(file) == [anchor]
    file.write_bytes(anchor.line()[:20] + b"\n" + anchor.line())
    with pytest.raises(LedgerDamaged, match="line 1"):
        office.anchors()


async def test_after_a_torn_line_anchors_go_on(office: Office) -> None:
    file = office.folder / "anchors.jsonl"
    with office.ledger() as ledger:
        await ledger.commit(events(1))
        [anchor] = await office.written(ledger)
        file.write_bytes(anchor.line() + anchor.line()[:20])
        await ledger.commit(events(EVERY_EVENTS))
        [after] = await office.written(ledger)
    assert read_anchors(file) == [anchor, after]
    assert office.faults("anchors.jsonl", "copies/anchors.jsonl") == []


async def test_a_folder_of_copies_that_was_away_catches_up(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    with office.ledger() as ledger:
        await ledger.commit(events(1))
        office.copies.rename(office.folder / "away")
        anchors = office.anchors()
        await anchors.catch_up(ledger)
        await ledger.commit(events(EVERY_EVENTS))
        await anchors.catch_up(ledger)
        (office.folder / "away").rename(office.copies)
        await ledger.commit(events(EVERY_EVENTS))
        await anchors.catch_up(ledger)
        anchors.close()
    assert [one.seq for one in read_anchors(office.copies / "anchors.jsonl")] == [1, 1001, 2001]
    assert [one.levelname for one in caplog.records if "anchors" in one.message] == ["ERROR", "WARNING"]


async def test_one_process_writes_the_anchors(office: Office) -> None:
    anchors = office.anchors()
    with pytest.raises(ConfigError, match="open in another process"):
        office.anchors()
    anchors.close()
    office.anchors().close()


async def test_an_anchor_of_a_former_key_still_verifies_by_its_public_half(tmp_path: Path) -> None:
    pytest.importorskip("gmssl_pyx", reason="the extra guomi is not installed")
    office = Office(tmp_path, HandClock())
    with office.ledger() as ledger:
        await ledger.commit(events(1))
        await office.written(ledger)
        office.key = HmacAnchorKey(bytes(32))
        await ledger.commit(events(EVERY_EVENTS))
        await office.written(ledger)
    former = read_anchor_key(tmp_path / "anchor.key.public")
    with pytest.raises(ConfigError, match="only verifies"):
        former.sign(b"")
    keys = {key.key_id: key for key in (former, office.key)}
    inspection = verify(tmp_path / "ledger.db", MASTER, Anchored((tmp_path / "anchors.jsonl",), keys))
    assert inspection.is_whole
    assert inspection.anchors[0].anchors == 2
    del keys[former.key_id]
    assert not verify(tmp_path / "ledger.db", MASTER, Anchored((tmp_path / "anchors.jsonl",), keys)).is_whole


def test_an_anchor_key_file_is_the_owners_and_never_overwritten(office: Office) -> None:
    path = office.folder / "anchor.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["algorithm"] == office.key.algorithm
    with pytest.raises(ConfigError, match="never overwritten"):
        create_anchor_key(path)
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="others can read it"):
        read_anchor_key(path)
    path.chmod(0o600)
    for text in ("{}", "no JSON", '{"algorithm": "SM2", "public": "00"}', "[]"):
        path.write_text(text)
        with pytest.raises(ConfigError):
            read_anchor_key(path)


async def test_a_ledger_on_postgresql_is_anchored_and_checked_alike(office: Office, server: TestServer) -> None:
    pytest.importorskip("psycopg_pool", reason="psycopg-pool is not installed")
    from adapter_core.ledger import postgres_inspection
    from adapter_core.ledger.postgres import PostgresLedger

    url = server.new_database()
    async with await PostgresLedger.open(url, MASTER, environment="test", clock=office.clock) as ledger:
        await ledger.commit(events(3))
        anchors = office.anchors()
        [anchor] = await anchors.catch_up(ledger)
        await anchors.refuse_cut(ledger)
        anchors.close()
    anchored = Anchored((office.folder / "anchors.jsonl",), {office.key.key_id: office.key})
    assert postgres_inspection.verify(url, MASTER, anchored).is_whole
    (office.folder / "anchors.jsonl").write_bytes(replace(anchor, seq=4).line())
    assert not postgres_inspection.verify(url, MASTER, anchored).is_whole
