"""Sealed from the first row, and every edit, removal, reordering and truncation of the journal is found (I14, I15)."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from adapter_core.ledger.chain import Head, Link, next_hash, verify
from adapter_core.ledger.inspection import Inspection, Reading, export
from adapter_core.ledger.inspection import verify as inspect
from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.settlement.records import Alias, Change
from adapter_core.values.errors import ConfigError, LedgerDamaged
from tests.clocks import HandClock

from .ledger_contract import AT, ORG, bill, case, encounter, event

MASTER = MasterKey(bytes(range(32)))
EVENTS = 6
CANARIES = ("测试甲", "36010119000101001X", "13000000000", "急性上呼吸道感染", "PSN0000001")


def open_ledger(path: Path, read_only: bool = False) -> SqliteLedger:
    return SqliteLedger.open(
        path, MASTER, environment="test", clock=HandClock(), read_only=read_only, ballast_bytes=0, free_bytes_min=0
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed ledger with six events of one org and two of another."""
    file = tmp_path / "ledger.db"
    with open_ledger(file) as ledger:
        for n in range(EVENTS):
            ledger.commit_now(
                Change(ORG, events=(event(f"KIND{n}", {"amount": Decimal("1.00"), "n": str(n)}, raw=b"raw"),))
            )
        ledger.commit_now(Change("other", events=(event(), event())))
        ledger.commit_now(Change(ORG, cases=(case(told={"told": "a"}), case("c2", visit_key="v2", told={"told": "b"}))))
    return file


def behind_the_ledgers_back(path: Path, *statements: str) -> None:
    """What an administrator with the file, but without the master key, could do."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER journal_no_update")
        connection.execute("DROP TRIGGER journal_no_delete")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def broken(path: Path, keys: MasterKey | None = None) -> tuple[str, int | None]:
    found = [chain for chain in inspect(path, keys).chains if not chain.is_whole]
    assert len(found) == 1
    return found[0].org, found[0].broken_seq


def test_no_personal_value_lies_on_the_disk_readable(tmp_path: Path) -> None:
    name, certno, tel, diagnosis, psn_no = CANARIES
    person = {"psn_name": name, "certno": certno, "tel": tel, "diag_name": diagnosis, "psn_no": psn_no}
    with open_ledger(tmp_path / "ledger.db") as ledger:
        raw = " ".join(CANARIES).encode("gb18030") + "".join(CANARIES).encode()
        for version in (1, 2):
            ledger.commit_now(
                Change(
                    ORG,
                    events=(event("REPLY", person, raw=raw),),
                    encounter=encounter(version=version, content={"person": person}, standing=person),
                    bills=(bill(version=version, content={"diagnoses": [person]}, standing=person),),
                    cases=(case(version=version, told=person, data=person),),
                    aliases=tuple(Alias(ORG, "d", "any", value, case_id="c1") for value in CANARIES),
                    search=tuple((kind, value, "c1") for kind, value in person.items()),
                )
            )
        files = [file for file in tmp_path.iterdir() if file.stat().st_size]
        assert {file.name for file in files} >= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
        stored = [file.read_bytes() for file in files]
    stored.append((tmp_path / "ledger.db").read_bytes())
    assert any(b"REPLY" in content for content in stored)
    for canary in CANARIES:
        for encoding in ("utf-8", "gb18030", "utf-16-le"):
            forms = (canary.encode(encoding), base64.b64encode(canary.encode(encoding)).rstrip(b"="))
            assert not any(form in content for form in forms for content in stored)


def test_an_untouched_ledger_is_whole(path: Path) -> None:
    for keys in (None, MASTER):
        inspection = inspect(path, keys)
        assert inspection.is_whole
        assert [(chain.org, chain.events) for chain in inspection.chains] == [(ORG, EVENTS), ("other", 2)]


def test_one_flipped_bit_is_found(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        sealed = connection.execute("SELECT sealed FROM journal WHERE org = ? AND seq = 4", (ORG,)).fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[content.index(sealed) + 20] ^= 1
    path.write_bytes(content)
    assert broken(path) == (ORG, 4)
    with pytest.raises(LedgerDamaged, match="damaged at 4"):
        open_ledger(path)


@pytest.mark.parametrize("column", ["at", "kind", "case_id", "encounter_id", "key_id", "hash"])
def test_an_edit_of_any_column_is_found(path: Path, column: str) -> None:
    edited = "x'00'" if column == "hash" else "2" if column == "key_id" else "'X'"
    behind_the_ledgers_back(path, f"UPDATE journal SET {column} = {edited} WHERE org = '{ORG}' AND seq = 3")
    assert broken(path) == (ORG, 3)
    with pytest.raises(LedgerDamaged):
        open_ledger(path)


MINE = f"org = '{ORG}'"
OTHER_COLUMNS = ("at", "kind", "case_id", "encounter_id", "key_id", "sealed", "hash")


@pytest.mark.parametrize(
    ("statements", "first", "reason"),
    [
        ([f"DELETE FROM journal WHERE {MINE} AND seq = 2"], 2, "missing"),
        ([f"DELETE FROM journal WHERE {MINE} AND seq > 4"], 5, "ends early"),
        ([f"DELETE FROM journal WHERE {MINE}"], 1, "ends early"),
        (
            [
                f"DELETE FROM journal WHERE {MINE} AND seq = 2",
                f"UPDATE journal SET seq = seq - 1 WHERE {MINE} AND seq > 2",
            ],
            2,
            "changed",
        ),
        (
            [
                f"UPDATE journal SET seq = seq + 100 WHERE {MINE} AND seq IN (2, 3)",
                f"UPDATE journal SET seq = 105 - seq WHERE {MINE} AND seq > 100",
            ],
            2,
            "changed",
        ),
        (
            [
                f"INSERT INTO journal SELECT org, seq + 1, {', '.join(OTHER_COLUMNS)} FROM journal WHERE {MINE} AND seq = {EVENTS}"
            ],
            7,
            "changed",
        ),
        ([f"DELETE FROM heads WHERE {MINE}"], EVENTS, "head is missing"),
        ([f"UPDATE heads SET hash = x'00' WHERE {MINE}"], EVENTS + 1, "lead to its head"),
    ],
    ids=[
        "removal",
        "truncation",
        "all-removed",
        "removal-closed-up",
        "swap",
        "addition",
        "head-removed",
        "head-edited",
    ],
)
def test_removal_reordering_and_truncation_are_found(
    path: Path, statements: list[str], first: int, reason: str
) -> None:
    behind_the_ledgers_back(path, *statements)
    assert broken(path) == (ORG, first)
    with pytest.raises(LedgerDamaged, match=f"damaged at {first}: .*{reason}"):
        open_ledger(path)


def test_a_chain_rewritten_without_the_master_key_is_found(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        last = connection.execute(f"SELECT hash FROM journal WHERE {MINE} AND seq = 4").fetchone()[0]
    connection.close()
    behind_the_ledgers_back(
        path,
        f"DELETE FROM journal WHERE {MINE} AND seq > 4",
        f"UPDATE heads SET seq = 4, hash = x'{last.hex()}' WHERE {MINE}",
    )
    assert inspect(path).is_whole
    assert broken(path, MASTER) == (ORG, 4)
    with pytest.raises(LedgerDamaged, match="not written under this master key"):
        open_ledger(path)


async def test_a_sealed_field_opens_only_in_its_own_row_and_version(path: Path) -> None:
    swap = "UPDATE cases SET sealed = (SELECT sealed FROM cases WHERE case_id = 'c1') WHERE case_id = 'c2'"
    behind_the_ledgers_back(path, swap, "UPDATE cases SET version = 2 WHERE case_id = 'c1'")
    with open_ledger(path, read_only=True) as ledger:
        for moved in ("c1", "c2"):
            with pytest.raises(LedgerDamaged):
                await ledger.case(moved)


async def test_a_destroyed_data_key_ends_the_reading_and_leaves_the_chain(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE data_keys SET wrapped = x''")
    connection.close()
    assert inspect(path, MASTER).is_whole
    with open_ledger(path, read_only=True) as ledger, pytest.raises(LedgerDamaged, match="destroyed"):
        await ledger.events_of_case("c1")


def test_a_broken_file_is_found(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert not inspect(path).is_whole
    with pytest.raises(LedgerDamaged):
        open_ledger(path)


def test_the_chain_is_what_its_definition_says() -> None:
    """Spelled out anew from chain.py's own words, so that an offline tool can be written from them."""
    from cryptography.hazmat.primitives.hashes import SM3, Hash

    texts = (ORG, AT, "KIND", "c1", "", "7")
    parts = b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts) + b"\x00\x00\x00\x02ab"
    digest = Hash(SM3())
    digest.update(bytes(32) + b"\x00\x00\x00\x00\x00\x00\x00\x01" + parts)
    link = digest.finalize()
    assert next_hash(bytes(32), ORG, 1, AT, "KIND", "c1", "", 7, b"ab") == link
    assert verify(ORG, [Link(1, AT, "KIND", "c1", "", 7, b"ab", link)], Head(1, link)).is_whole


def test_export_gives_the_sealed_journal_without_a_key(path: Path) -> None:
    rows = list(export(path))
    assert [(row["org"], row["seq"]) for row in rows] == [(ORG, n + 1) for n in range(EVENTS)] + [
        ("other", 1),
        ("other", 2),
    ]
    assert set(rows[0]) == {"org", "seq", "at", "kind", "case_id", "encounter_id", "hash"}
    assert rows[EVENTS - 1]["hash"] == inspect(path).chains[0].head
    json.dumps(rows)


def test_an_unsealed_export_is_journalled_first(path: Path) -> None:
    rows = list(export(path, Reading(MASTER, "auditor 测试乙", HandClock())))
    mine = [row for row in rows if row["org"] == ORG]
    assert (mine[0]["data"], base64.b64decode(mine[0]["raw"])) == ({"amount": "1.00", "n": "0"}, b"raw")
    assert [row["kind"] for row in mine] == [f"KIND{n}" for n in range(EVENTS)] + ["READ"]
    assert mine[-1]["data"]["reader"] == "auditor 测试乙"
    json.dumps(rows)
    assert inspect(path, MASTER).is_whole


def test_looking_in_works_beside_a_running_writer(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_ledger(path) as ledger:
        ledger.commit_now(Change(ORG, events=(event("LAST"),)))
        assert inspect(path, MASTER).is_whole
        rows = list(export(path, Reading(MASTER, "auditor", HandClock())))
        assert [row["kind"] for row in rows if row["org"] == ORG][-1] == "LAST"
        assert [record.levelno for record in caplog.records if "can't be journalled" in record.message] == [
            logging.WARNING
        ]
        ledger.commit_now(Change(ORG, events=(event("LATER"),)))


@pytest.mark.parametrize(
    "look",
    [
        lambda path, keys: inspect(path, keys),
        lambda path, keys: list(export(path, Reading(keys, "x", HandClock()))),
    ],
)
def test_another_master_key_is_refused(path: Path, look: Callable[[Path, MasterKey], Inspection]) -> None:
    with pytest.raises(ConfigError, match="sealed with master key"):
        look(path, MasterKey(bytes(32)))
