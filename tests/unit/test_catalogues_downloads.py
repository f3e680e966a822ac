"""Downloads: what changes a catalogue, what is refused, and what an interrupted one needn't do again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_core.catalogues import local_names, looking
from adapter_core.catalogues.asking import pages
from adapter_core.catalogues.downloads import Done, Downloads, Progress, Rules
from adapter_core.catalogues.layouts import Layout
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.province.messages import Outcome
from adapter_core.values.content import Content
from adapter_core.values.errors import ConfigError, NotSent, Rejected, TranslationError

NAMED = Layout(columns=("med_list_codg", "drug_prodname", "vali_flag", "enddate", "ver"))


class Centre:
    """Answers by number, in order; the last answer stays."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {infno.removeprefix("t"): list(given) for infno, given in answers.items()}
        self.asked: list[tuple[str, Content]] = []

    async def ask(self, infno: str, given: Content) -> Outcome:
        self.asked.append((infno, given))
        queue = self.answers[infno]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, bytes):
            return Outcome("DONE", "OK", "", {"file": answer})
        if isinstance(answer, str):
            return Outcome(
                answer,
                answer,
                "没有送达" if answer == "NOT_SENT" else "拒绝",
                {"reply": {"infcode": "-1", "err_msg": "拒绝"}},
            )
        return Outcome("DONE", "OK", "", {"reply": {"infcode": "0", "output": answer}})

    def numbers(self) -> list[str]:
        return [infno for infno, _ in self.asked]


def ticket(count: int, until: str = "2026-12-01") -> dict[str, Any]:
    return {"data": {"file_qury_no": "W1", "filename": "1301.zip", "dld_end_time": until, "data_cnt": count}}


def text(*rows: str) -> bytes:
    return "".join(f"{row}\n" for row in rows).replace("|", "\t").encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogueStore]:
    with CatalogueStore(tmp_path / "catalogues.db") as opened:
        yield opened


async def run(store: CatalogueStore, centre: Centre, infno: str = "1301", **more: Any) -> Done:
    rules = Rules(page_rows=2, layouts={"1301": NAMED})
    return await Downloads(store, centre.ask, rules, "H1", "2026-11-21", "now").run(infno, **more)


V1 = text("A|甲|1||V9", "B|乙|1||V9", "C|丙|1|2026-01-01|V9")
V2 = text("A|甲改|1||V10", "B|乙|0||V10", "D|丁|1||V10")


async def test_a_download_tells_what_it_added_changed_and_ended(store: CatalogueStore) -> None:
    centre = Centre(t1301=[ticket(3), ticket(3)], t9102=[V1, V2])
    first = await run(store, centre)
    assert (first.version, first.rows, first.added, first.changed, first.ended, first.holds) == ("V9", 3, 3, 0, 0, 2)
    second = await run(store, centre)
    assert (second.from_version, second.version) == ("V9", "V10")
    assert (second.added, second.changed, second.ended, second.holds) == (1, 1, 1, 2)
    assert [given["data"]["ver"] for infno, given in centre.asked if infno == "1301"] == ["0", "V9"]
    assert centre.asked[1][1]["fsDownloadIn"] == {"file_qury_no": "W1", "filename": "1301.zip", "fixmedins_code": "plc"}
    changes = {one.key: (one.kind, one.differing()) for one in looking.compared(store, "1301").changes}
    assert changes["A"] == ("changed", ["drug_prodname", "ver"])
    assert changes["B"] == ("ended", ["vali_flag", "ver"])
    assert [one.is_ended for one in looking.entries(store, "C")] == [True]


async def test_the_greatest_version_counts_its_numbers_as_numbers(store: CatalogueStore) -> None:
    rows = text("A|甲|1||V10", "B|乙|1||V9", "C|丙|1||V2")
    assert (await run(store, Centre(t1301=[ticket(3)], t9102=[rows]))).version == "V10"


async def test_only_a_whole_download_ends_what_it_doesnt_hold(store: CatalogueStore) -> None:
    centre = Centre(t1301=[ticket(3), ticket(1), ticket(1)], t9102=[V1, text("A|甲|1||V9")])
    await run(store, centre)
    assert (await run(store, centre)).ended == 0
    assert (await run(store, centre, whole=True)).ended == 1
    assert looking.compared(store, "1301").changes[0].after is None


async def test_a_killed_download_goes_on_where_it_stopped(store: CatalogueStore) -> None:
    centre = Centre(t1301=[ticket(3)], t9102=["NOT_SENT", V1])
    with pytest.raises(NotSent):
        await run(store, centre)
    assert looking.held(store)[0].open == 0
    assert (await run(store, centre)).added == 3
    assert centre.numbers() == ["1301", "9102", "9102"]


async def test_a_ticket_that_is_over_is_asked_for_anew(store: CatalogueStore) -> None:
    centre = Centre(t1301=[ticket(3, "2026-11-20"), ticket(3)], t9102=["NOT_SENT", V1])
    with pytest.raises(NotSent):
        await run(store, centre)
    await run(store, centre)
    assert centre.numbers() == ["1301", "9102", "1301", "9102"]


@pytest.mark.parametrize(
    ("file", "code"),
    [(V1[:-8], "BAD_FILE"), (text("A|甲|1||V9", "B|乙|1||V9"), "WRONG_COUNT"), (V1 + text("A|他|1||V9"), "BAD_FILE"),
     (text("|甲|1||V9", "B|乙|1||V9", "C|丙|1||V9"), "BAD_FILE")],
    ids=["cut", "too few", "key twice", "no key"],
)  # fmt: skip
async def test_a_wrong_file_changes_nothing_and_is_forgotten(store: CatalogueStore, file: bytes, code: str) -> None:
    await run(store, Centre(t1301=[ticket(3)], t9102=[V1]))
    with pytest.raises(TranslationError) as refused:
        await run(store, Centre(t1301=[ticket(3)], t9102=[file]))
    assert refused.value.code == code
    [known] = looking.held(store)
    assert (known.version, known.holds, known.open) == ("V9", 2, -1)
    assert store.rows("SELECT * FROM staged") == []


def page(*numbers: int, day: str = "2026-01-05") -> dict[str, Any]:
    rows = [
        {"rid": f"R{one}", "hilist_code": f"H{one}", "hilist_name": "名", "vali_flag": "1", "updt_time": day}
        for one in numbers
    ]
    return {"data": rows}


async def test_pages_go_on_at_the_page_that_was_missed(store: CatalogueStore) -> None:
    centre = Centre(t1312=[page(1, 2), "NOT_SENT", page(3, 4), page(5)])
    with pytest.raises(NotSent):
        await run(store, centre, "1312")
    assert looking.held(store)[0].open == 2
    done = await run(store, centre, "1312")
    assert (done.rows, done.added, done.version) == (5, 5, "2026-01-05")
    assert [given["data"]["page_num"] for _, given in centre.asked] == [1, 2, 2, 3]
    await run(store, Centre(t1312=[page()]), "1312")
    later = Centre(t1312=[page(5, 6, day="2026-01-07"), page()])
    again = await run(store, later, "1312")
    assert (again.added, again.changed) == (1, 1)
    assert later.asked[0][1]["data"]["updt_time"] == "2026-01-05"


@pytest.mark.parametrize(
    ("answers", "count"),
    [([page(1), page()], 1), ([page(1), "REJECTED"], 1), ([page(1, 2), page(3, 4), page(5)], 5), ([page()], 0)],
    ids=["fewer than asked", "refused beyond the end", "short last page", "none"],
)  # fmt: skip
async def test_pages_end_where_the_rows_do(answers: list[Any], count: int) -> None:
    centre = Centre(t1312=answers)
    rows = [row async for one in pages(centre.ask, "1312", {"data": {}}, 2) for row in one.rows]
    assert len(rows) == count


async def test_a_centre_that_gives_one_page_for_ever_is_stopped() -> None:
    centre = Centre(t1312=[page(1, 2)])
    with pytest.raises(TranslationError, match="与上一页相同"):
        _ = [one async for one in pages(centre.ask, "1312", {"data": {}}, 2)]
    with pytest.raises(Rejected):
        _ = [one async for one in pages(Centre(t1312=[page(1, 2), "REJECTED"]).ask, "1312", {"data": {}}, 2)]


async def test_ten_thousand_rows_are_told_as_they_are_read(store: CatalogueStore) -> None:
    rows = [f"X{number:06}|测试{number}|1||V1" for number in range(10_000)]
    told: list[Progress] = []
    first = await run(store, Centre(t1301=[ticket(10_000)], t9102=[text(*rows)]), tell=told.append)
    assert first.added == 10_000
    reading = [one for one in told if one.phase == "reading"]
    assert len(reading) == 11
    assert all(one.total == 10_000 for one in reading)
    changed = [row.replace("|测试", "|改") if number % 2 else row for number, row in enumerate(rows)]
    assert (await run(store, Centre(t1301=[ticket(10_000)], t9102=[text(*changed)]))).changed == 5_000


async def test_the_centres_own_names_go_before_the_national_ones(store: CatalogueStore) -> None:
    rows = [
        {"type": "med_type", "value": value, "label": label, "valiFlag": "1"}
        for value, label in (("11", "普通看诊"), ("9999", "本地"))
    ]
    named: Callable[[str], str] = lambda value: local_names.label(store, "360100", "med_type", value)  # noqa: E731
    assert named("11") != "普通看诊"
    centre = Centre(t1901=[{"list": rows}, {"list": rows[1:]}, "REJECTED"])
    assert (await local_names.load(store, centre.ask, "med_type", "360100", "2026-11-21")).added == ("11", "9999")
    assert (named("11"), named("9999"), named("??")) == ("普通看诊", "本地", "??")
    assert (await local_names.load(store, centre.ask, "med_type", "360100", "2026-11-21")).gone == ("11",)
    assert (await local_names.load(store, centre.ask, "med_type", "360100", "2026-11-21")).refusal == "拒绝"
    assert named("9999") == "本地"


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    with CatalogueStore(tmp_path / "c.db") as store:
        store.run("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="another version"):
        CatalogueStore(tmp_path / "c.db")
    (tmp_path / "no.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError):
        CatalogueStore(tmp_path / "no.db")


def test_a_refused_change_leaves_nothing(store: CatalogueStore) -> None:
    wrong = ["INSERT INTO staged VALUES (1, 'k', 'c', 'n', 0, '{}')", "INSERT INTO nowhere VALUES (1)"]
    with pytest.raises(sqlite3.OperationalError), store.change():
        _ = [store.run(statement) for statement in wrong]
    assert store.rows("SELECT * FROM staged") == []
