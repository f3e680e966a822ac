"""The witness: synced before it returns, whole after any crash, small, and the one to tell that a ledger lost its tail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_core.ledger.sealing import MasterKey
from adapter_core.ledger.sqlite import SqliteLedger
from adapter_core.ledger.witness import Entry, Witness, behind
from adapter_core.settlement.records import Change
from adapter_core.values.errors import ConfigError, LedgerDamaged, LedgerUnavailable
from tests.clocks import HandClock

from .ledger_contract import ORG, case, event

LINK = "ab" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness"


def test_the_latest_entry_of_each_case_is_read_the_oldest_first(path: Path) -> None:
    with Witness(path) as witness:
        for case_id, version in (("c1", 1), ("c2", 1), ("c1", 3)):
            witness.append(ORG, case_id, version, LINK)
        witness.append("other", "c1", 9, LINK)
        expected = [Entry(ORG, "c2", 1, LINK), Entry(ORG, "c1", 3, LINK), Entry("other", "c1", 9, LINK)]
        assert witness.read() == expected
    with Witness(path) as again:
        assert again.read() == expected
    assert path.stat().st_mode & 0o077 == 0


def test_an_entry_is_synced_before_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        synced.append(os.fstat(file).st_size)

    with Witness(path) as witness:
        monkeypatch.setattr(os, "fsync", fsync)
        for version in (1, 2):
            witness.append(ORG, "c1", version, LINK)
            assert synced[-1] == path.stat().st_size
        assert len(synced) == 2


def test_a_torn_last_line_counts_for_nothing_wherever_it_was_torn(path: Path) -> None:
    with Witness(path) as witness:
        witness.append(ORG, "c1", 1, LINK)
        first = path.stat().st_size
        witness.append(ORG, "c1", 12, LINK)
    content = path.read_bytes()
    for end in range(first, len(content)):
        path.write_bytes(content[:end])
        with Witness(path) as torn:
            assert torn.read() == [Entry(ORG, "c1", 1, LINK)]
            torn.append(ORG, "c2", 5, LINK)
        with Witness(path) as mended:
            assert mended.read() == [Entry(ORG, "c1", 1, LINK), Entry(ORG, "c2", 5, LINK)]


def test_a_line_changed_before_the_last_is_damage(path: Path) -> None:
    with Witness(path) as witness:
        for version in (1, 2, 3):
            witness.append(ORG, "c1", version, LINK)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\t2\t", b"\t1\t"))
    with pytest.raises(LedgerDamaged, match="line 2"):
        Witness(path)
    path.write_bytes(content)
    Witness(path).close()


def test_the_file_stays_small_and_keeps_the_newest(path: Path) -> None:
    with Witness(path, max_bytes=4000) as witness:
        for n in range(500):
            witness.append(ORG, f"c{n}", 1, LINK)
            assert path.stat().st_size <= 4000
            assert witness.read()[-1] == Entry(ORG, f"c{n}", 1, LINK)
        kept = witness.read()
    numbers = [int(entry.case_id[1:]) for entry in kept]
    assert numbers == list(range(numbers[0], 500))
    assert len(numbers) >= 15
    with Witness(path) as again:
        assert again.read() == kept


CRASHING = """
import os, sys
from pathlib import Path
from adapter_core.ledger import witness as module
step, calls = int(sys.argv[2]), 0
def dying(real):
    def call(*args):
        global calls
        calls += 1
        if calls == step:
            if real is write: real(args[0], args[1][: len(args[1]) // 2])
            os._exit(9)
        return real(*args)
    return call
write = os.write
witness = module.Witness(Path(sys.argv[1]), max_bytes=1000)
for name in ("write", "fsync", "replace", "open", "close", "ftruncate"):
    setattr(os, name, dying(getattr(os, name)))
for n in range(100):
    witness.append("org", "c%d" % (n % 3), n, "ab" * 32)
    write(1, b"%d\\n" % n)
"""


def test_a_crash_at_any_step_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    """Dies at each system call of the first appends and of the compaction among them, in the middle of writes."""
    died = 0
    for step in range(1, 36):
        path = tmp_path / f"witness-{step}"
        done = subprocess.run(
            [sys.executable, "-c", CRASHING, str(path), str(step)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 9, done.stderr
        acknowledged = [int(line) for line in done.stdout.split()]
        with Witness(path) as witness:
            found = {entry.case_id: entry.version for entry in witness.read()}
            for n in acknowledged[-3:]:
                assert found[f"c{n % 3}"] >= n
            witness.append("org", "next", 1, LINK)
        died += 1
    assert died == 35


def test_after_a_fault_nothing_more_is_witnessed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Witness(path) as witness:
        witness.append(ORG, "c1", 1, LINK)

        def fail(file: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(LedgerUnavailable, match="Input/output"):
                witness.append(ORG, "c1", 2, LINK)
        with pytest.raises(LedgerUnavailable, match="Input/output"):
            witness.append(ORG, "c1", 3, LINK)
    Witness(path).close()


def test_one_process_writes_it(path: Path) -> None:
    with Witness(path), pytest.raises(ConfigError, match=r"witness .* is open in another process"):
        Witness(path)
    with pytest.raises(ConfigError):
        Witness(path.parent / "absent" / "witness")


@pytest.mark.parametrize("broken", ["a\tb", "a\nb", "a b", "a\x0bb"])
def test_a_field_that_would_break_the_line_is_refused(path: Path, broken: str) -> None:
    with Witness(path) as witness:
        with pytest.raises(ValueError, match="white space"):
            witness.append(ORG, broken, 1, LINK)
        assert path.stat().st_size == 0


def open_ledger(path: Path) -> SqliteLedger:
    return SqliteLedger.open(
        path, MasterKey(bytes(32)), environment="test", clock=HandClock(), ballast_bytes=0, free_bytes_min=0
    )


async def test_a_ledger_that_lost_its_tail_is_told_by_the_witness(tmp_path: Path, path: Path) -> None:
    original, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    with Witness(path) as witness:

        async def let_out(ledger: SqliteLedger, case_id: str, version: int) -> None:
            written = case(case_id, visit_key=case_id, version=version)
            await ledger.commit(Change(ORG, events=(event("TOLD", case_id=case_id),), cases=(written,)))
            links = await ledger.links_of_case(case_id)
            witness.append(ORG, case_id, version, links[-1])

        with open_ledger(original) as ledger:
            await let_out(ledger, "kept", 1)
            await let_out(ledger, "older", 1)
        shutil.copy(original, backup)
        with open_ledger(original) as ledger:
            await let_out(ledger, "older", 2)
            await let_out(ledger, "missing", 1)
            assert await behind(ledger, witness.read()) == []
            # Others may have written on: the witness needs only what left.
            await ledger.commit(Change(ORG, cases=(case("kept", visit_key="kept", version=2),)))
            assert await behind(ledger, witness.read()) == []
        with open_ledger(backup) as restored:
            lost = await behind(restored, witness.read())
            assert [(entry.case_id, entry.version) for entry in lost] == [("older", 2), ("missing", 1)]
            # As far as before, but by another history.
            other = Change(ORG, events=(event(case_id="older"),), cases=(case("older", visit_key="older", version=2),))
            await restored.commit(other)
            assert "older" in [entry.case_id for entry in await behind(restored, witness.read())]
