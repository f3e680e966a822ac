"""The hospital's items: the list people keep, what of it is mapped, what goes to the centre, and the codes a bill gets from it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.catalogues.coverage import coverage
from adapter_core.catalogues.items import COLUMNS, Item, Items, SiteItems, compared, read_items, sheet
from adapter_core.catalogues.store import CatalogueStore
from adapter_core.catalogues.uploading import Uploading
from adapter_core.formats.sheets import read_rows, write_csv, write_excel
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.hospital_items import refuse_unmapped, with_codes
from adapter_core.settlement.records import Bill
from adapter_core.values.content import Content
from adapter_core.values.errors import NotSent, TranslationError

HEADING = ["定点医药机构目录编号", "定点医药机构目录名称", "目录类别", "医疗目录编码", "开始日期", "结束日期", "金额"]
DRUG = ["Y001", "测试药品", "101", "XA01", "2026-01-01", "2099-12-31", "1,200.50"]
BED = ["Y002", "测试床位", "", "", "", "", "300"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogueStore]:
    with CatalogueStore(tmp_path / "catalogues.db") as opened:
        yield opened


def items(*rows: list[str]) -> list[Item]:
    return read_items([HEADING, *rows])


@pytest.mark.parametrize("name", ["list.csv", "list.xlsx"])
def test_a_list_survives_being_written_and_read(name: str) -> None:
    kept = items([*DRUG[:1], "=测试药品", *DRUG[2:]], BED)
    rows = sheet(kept)
    raw = write_excel(rows, "对照表") if name.endswith("xlsx") else write_csv(rows)
    again = read_items(read_rows(raw, name))
    assert [one.item for one in again] == ["Y001", "Y002"]
    assert (again[0].amount_fen, again[0].begndate, again[1].amount_fen) == (120050, "2026-01-01", 30000)
    assert rows[0] == list(COLUMNS.values())


def test_every_fault_of_a_list_is_told_at_once() -> None:
    wrong = [
        ["", "无编号", "101", "X", "", "", ""],
        ["Y3", "无类别", "", "X", "", "", ""],
        ["Y4", "坏日期", "101", "X", "2026-13-01", "", ""],
        ["Y5", "倒日期", "101", "X", "2026-02-01", "2026-01-01", ""],
        ["Y6", "坏金额", "101", "X", "", "", "1.234"],
        ["Y" * 31, "太长", "101", "X", "", "", ""],
        DRUG,
        [*DRUG[:4], "2026-06-01", "", ""],
    ]
    with pytest.raises(TranslationError) as refused:
        items(*wrong)
    paths = [fault.path for fault in refused.value.faults]
    assert [path.split()[1] for path in paths[:6]] == ["2", "3", "4", "5", "6", "7"] or len(paths) == 7
    assert any("项目 Y001" in path for path in paths)
    with pytest.raises(TranslationError, match="医疗目录编码"):
        read_items([["定点医药机构目录编号", "不认识的列"]])


def test_a_new_list_tells_what_it_changes() -> None:
    changes = compared(items(DRUG, BED), items([*DRUG[:3], "XA02", *DRUG[4:]], ["Y003", *BED[1:]]))
    assert [(one.before and one.before.item, one.after and one.after.item) for one in changes] == [
        ("Y001", "Y001"), ("Y002", None), (None, "Y003"),
    ]  # fmt: skip


def test_coverage_weighs_items_and_their_money(store: CatalogueStore) -> None:
    Items(store, "H1").replace(items(DRUG, BED, ["Y003", "过期的", "101", "XA09", "2025-01-01", "2025-12-31", "99.50"]))
    store.run_many("INSERT INTO entries VALUES ('1301', ?, ?, '', ?, '{}', 1)", [("k1", "XA01", 1)])
    found = coverage(store, "H1", "2026-11-21")
    assert (found.whole.items, found.whole.mapped, found.whole.share) == (3, 1, Decimal("33.33"))
    assert (found.whole.fen, found.whole.mapped_fen, found.whole.money_share) == (160000, 120050, Decimal("75.03"))
    assert [one.item for one in found.unmapped] == ["Y002", "Y003"]
    assert [one.item for one in found.ended] == ["Y001"]
    assert coverage(store, "H2", "2026-11-21").whole.share is None


def operation(*lines: dict[str, Any]) -> Operation:
    return Operation(
        "settle", "", "national", content={"fees": list(lines), "visit": {"begntime": "2026-11-20 09:00:00"}}
    )


def test_codes_are_filled_in_by_the_day_of_the_line(store: CatalogueStore) -> None:
    Items(store, "H1").replace(
        items(
            [*DRUG[:5], "2026-05-31", ""],
            [*DRUG[:3], "XA02", "2026-06-01", "", ""],
            ["Y009", "未对照", "", "", "", "", ""],
        )
    )
    said = operation(
        {"medins_list_codg": "Y001", "fee_ocur_time": "2026-05-31 23:59:59"},
        {"medins_list_codg": "Y001"},
        {"medins_list_codg": "Y001", "med_list_codg": "HIS"},
        {"medins_list_codg": "Y009"},
        {"medins_list_codg": "??", "medins_list_name": "新项目"},
    )
    filled = with_codes(said, SiteItems(store), "H1", "2026-11-21 10:00:00")
    assert [line.get("med_list_codg") for line in filled.content["fees"]] == ["XA01", "XA02", "HIS", None, None]
    assert "med_list_codg" not in said.content["fees"][0]
    over = SiteItems(store)
    Items(store, "H1").replace(items([*DRUG[:5], "2026-05-31", ""], ["Y009", "未对照", "", "", "", "", ""]))
    assert [over.national_code("H1", "Y001", day) for day in ("2026-05-31", "2026-06-01", "2025-12-31")] == [
        "XA01",
        "",
        "",
    ]
    assert over.national_code("H2", "Y001", "2026-05-31") == ""
    assert with_codes(said, None, "H1", "") is said
    bill = Bill("b", "H1", "e", "V", "1", content=filled.content)
    with pytest.raises(TranslationError) as refused:
        refuse_unmapped(bill, SiteItems(store))
    assert refused.value.code == "UNMAPPED_ITEMS"
    assert [(fault.path, fault.got) for fault in refused.value.faults] == [
        ("fees[3].medins_list_codg", "Y009"), ("fees[4].medins_list_codg", "?? 新项目"),
    ]  # fmt: skip
    refuse_unmapped(bill, None)


class Takes:
    """A centre that takes every mapping but those of these items."""

    def __init__(self, *bad: str, away: bool = False) -> None:
        self.bad, self.away = bad, away
        self.calls: list[tuple[str, list[str]]] = []

    async def ask(self, infno: str, given: Content) -> Outcome:
        named = [row["fixmedins_hilist_id"] for row in given["data"]]
        self.calls.append((infno, named))
        if self.away:
            return Outcome("NOT_SENT", "AWAY", "没有送达")
        if set(named) & set(self.bad):
            return Outcome("REJECTED", "-1", "", {"reply": {"infcode": "-1", "err_msg": "编码不存在"}})
        return Outcome("DONE", "OK", "")


def many(count: int) -> list[Item]:
    return items(
        *([f"Y{number:03}", "测试", "101", f"X{number:03}", "2026-01-01", "2099-12-31", ""] for number in range(count))
    )


async def test_only_what_differs_goes_up_and_what_is_gone_is_undone(store: CatalogueStore) -> None:
    centre = Takes()
    uploading = Uploading(store, centre.ask, "H1", 2, "now")
    Items(store, "H1").replace(many(3))
    result = await uploading.run(uploading.plan())
    assert (result.uploaded, centre.calls) == (3, [("3301", ["Y000", "Y001"]), ("3301", ["Y002"])])
    assert uploading.plan().upload == []
    moved = [Item("Y001", "测试", "101", "X9", "2026-01-01", "2099-12-31"), *many(1)]
    Items(store, "H1").replace(moved)
    plan = uploading.plan()
    assert [row["med_list_codg"] for row in plan.undo] == ["X001", "X002"]
    assert [row["med_list_codg"] for row in plan.upload] == ["X9"]
    centre.calls.clear()
    assert (await uploading.run(plan)).undone == 2
    assert [infno for infno, _ in centre.calls] == ["3302", "3301"]


async def test_a_refused_batch_is_halved_until_the_bad_rows_stand_alone(store: CatalogueStore) -> None:
    centre = Takes("Y002", "Y005")
    uploading = Uploading(store, centre.ask, "H1", 8, "now")
    Items(store, "H1").replace(many(8))
    result = await uploading.run(uploading.plan())
    assert result.uploaded == 6
    assert [(row["fixmedins_hilist_id"], text) for row, text in result.refused] == [
        ("Y002", "编码不存在"),
        ("Y005", "编码不存在"),
    ]
    assert [row["fixmedins_hilist_id"] for row in uploading.plan().upload] == ["Y002", "Y005"]


async def test_nothing_goes_up_while_a_row_breaks_the_standard_or_the_centre_is_away(store: CatalogueStore) -> None:
    centre = Takes(away=True)
    uploading = Uploading(store, centre.ask, "H1", 8, "now")
    Items(store, "H1").replace([*many(1), Item("Y9", "缺日期", "101", "X9", "", "")])
    with pytest.raises(TranslationError) as refused:
        await uploading.run(uploading.plan())
    assert any("Y9" in fault.path and "begndate" in fault.path for fault in refused.value.faults)
    assert centre.calls == []
    Items(store, "H1").replace(many(1))
    with pytest.raises(NotSent):
        await uploading.run(uploading.plan())
    assert len(uploading.plan().upload) == 1
