"""The printed sheets: their text reads back as the right figures, page by page, and the same data gives the same bytes."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from pypdf import PdfReader

from adapter_core.paperwork import rendering
from adapter_core.paperwork.capitals import in_capitals
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.fee_lists import NOT_RETURNED, charge_types, fee_rows
from adapter_core.values.errors import Refused
from adapter_core.values.money import MoneyError
from tests.unit.paperwork_samples import HOUSE, MED_TYPES, document, fees, printable, visit

REGIONS = {
    "310000": "上海市", "320100": "江苏省南京市", "330100": "浙江省杭州市", "340100": "安徽省合肥市", "360100": "江西省南昌市",
    "140100": "山西省太原市", "440100": "广东省广州市", "430100": "湖南省长沙市",
}  # fmt: skip
PAGE_SUM = re.compile(r"本页小计：([\d.]+) 元（(\d+) 项）\s*累计：([\d.]+) 元")
ROW = re.compile(r"^(\d+) 2026-11-21 .*?([\d.]+) \d[\d.]* ([\d.]+) [\d.]+ 0\.00$", re.MULTILINE | re.DOTALL)


def pages(made: dict[str, object]) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(rendering.pdf("paper_set", printable(made)))).pages]


@pytest.mark.parametrize("case_type", MED_TYPES)
@pytest.mark.parametrize("admdvs", REGIONS)
def test_every_region_and_kind_prints_with_its_list_and_the_right_figures(admdvs: str, case_type: str) -> None:
    made = document(admdvs, case_type)
    text = "\n".join(pages(made))
    flat = text.replace("\n", "")
    assert rendering.GETA not in text
    assert REGIONS[admdvs] in text
    assert flat.count("37.65") >= 5  # cover, list, its foot, charge types, statement
    assert "叁拾柒元陆角伍分" in text
    assert "您还没有办理异地就医备案" in flat
    assert "没有获取到异地备案信息!" in flat
    for wanted in made["checklist"]["required"]:
        assert wanted["zh"] in flat
    assert ("以下为国家清单，请以参保地为准" in flat) == (not made["checklist"]["own"])
    for row in made["fees"]:
        assert row["amount"] in text
        assert row["code"] in text


@pytest.mark.parametrize("admdvs", REGIONS)
def test_no_deadline_is_printed_that_is_not_known(admdvs: str) -> None:
    cover = pages(document(admdvs))[0].replace("\n", "")
    assert "期限：参保地规定的申报期限本院未掌握" in cover
    assert not re.search(r"[0-9一二三四五六七八九十]+ ?(个月|年内|年底|次年)", cover)


def test_three_hundred_lines_have_a_header_and_a_sum_on_every_page() -> None:
    made = document(count=300)
    listing = [page for page in pages(made) if PAGE_SUM.search(page)]
    assert len(listing) > 3
    assert all("项目名称／国家编码／院内编码" in page for page in listing)
    so_far, counted = Decimal(0), 0
    for page in listing:
        sums = PAGE_SUM.search(page)
        assert sums is not None
        rows = ROW.findall(page)
        assert len(rows) == int(sums[2])
        assert [int(row[0]) for row in rows] == list(range(counted + 1, counted + len(rows) + 1))
        assert sum(Decimal(row[2]) for row in rows) == Decimal(sums[1])
        so_far, counted = so_far + Decimal(sums[1]), counted + len(rows)
        assert so_far == Decimal(sums[3])
    assert (str(so_far), counted) == (made["total"], 300)


def test_the_same_document_gives_the_same_bytes() -> None:
    made = printable(document())
    assert rendering.pdf("paper_set", made) == rendering.pdf("paper_set", made)
    assert rendering.pdf("paper_set", {**made, "issued_at": "2026-11-21 10:00:01"}) != rendering.pdf("paper_set", made)


def test_the_pdf_is_tagged_titled_and_carries_its_fonts() -> None:
    read = PdfReader(io.BytesIO(rendering.pdf("paper_set", printable(document()))))
    assert read.metadata is not None
    assert read.metadata.title == "医疗费用手工（零星）报销材料 LX26112100000017"
    root = read.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert root["/Lang"].startswith("zh")  # type: ignore[index]
    fonts = read.pages[0]["/Resources"]["/Font"].values()  # type: ignore[index]
    for font in fonts:
        descriptor = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        assert any(name.startswith("/FontFile") for name in descriptor)
    assert read.pages[0].mediabox.width == pytest.approx(595.28, abs=0.1)


def test_a_character_that_no_font_has_is_left_to_the_pen() -> None:
    text = "\n".join(pages(document(of=visit(name="测𠮷🙂")))).replace("\n", "")
    assert "测〓〓" in text
    assert "𠮷" not in text


def test_only_the_test_environment_has_the_watermark() -> None:
    live = "\n".join(pages(document(house=replace(HOUSE, environment="production"))))
    assert "测试环境打印，无效" in pages(document())[0]
    assert "测试环境打印，无效" not in live


def test_a_situation_that_holds_makes_its_documents_required() -> None:
    plain, carried = document(), document(wish=Wish(insuplc_admdvs="320100", situations=("代办",)))
    names = [wanted["code"] for wanted in carried["checklist"]["required"]]
    assert names == [wanted["code"] for wanted in plain["checklist"]["required"]] + ["agent_id"]
    assert "代办" not in [row["when"] for row in carried["checklist"]["conditional"]]
    assert plain["hash"] != carried["hash"]


def test_classes_come_from_the_centre_and_are_never_guessed() -> None:
    rows = fee_rows({"fees": fees(3), "lines": []})
    assert [row["class"] for row in charge_types(rows)] == [NOT_RETURNED]
    assert charge_types(rows)[0]["amount"] == "15.06"
    assert charge_types(rows)[0]["preselfpay"] == ""
    returned = charge_types(fee_rows(visit(count=3).bill.content))
    assert [(row["class"], row["amount"]) for row in returned] == [
        ("检查费", "2.51"), ("中成药费", "5.02"), ("西药费", "7.53"),
    ]  # fmt: skip


def test_a_line_returned_twice_counts_once() -> None:
    content = visit(count=2).bill.content
    again = {**content, "lines": [*content["lines"], {**content["lines"][0], "med_chrgitm_type": "06"}]}
    assert [row["class"] for row in fee_rows(again)] == ["手术费", "中成药费"]
    assert charge_types(fee_rows(again))[0]["amount"] == "2.51"


def test_a_visit_without_fees_gets_no_papers() -> None:
    with pytest.raises(Refused) as caught:
        document(count=0)
    assert caught.value.code == "NO_FEES"


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0.00", "零元整"),
        ("0.05", "伍分"),
        ("0.50", "伍角整"),
        ("10.05", "壹拾元零伍分"),
        ("186.50", "壹佰捌拾陆元伍角整"),
        ("200.00", "贰佰元整"),
        ("10203.04", "壹万零贰佰零叁元零肆分"),
        ("100000.00", "壹拾万元整"),
        ("-66.60", "负陆拾陆元陆角整"),
    ],
)
def test_amounts_in_capitals(amount: str, words: str) -> None:
    assert in_capitals(Decimal(amount)) == words


def test_no_amount_is_rounded_into_capitals() -> None:
    with pytest.raises(MoneyError):
        in_capitals(Decimal("1.005"))
