"""The insurance office's orders over a real adapter's ledger: day end, dues, clearing, the HIS's books, watching, HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.accounts.watching import shipped_rules
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.offices import accounts_of
from adapter_core.settlement.states import State
from adapter_core.values.errors import Refused
from adapter_core.values.moments import national_date
from tests.flow.hospital import ORG, Hospital, line, message, void
from tests.flow.test_inpatient import LEAVING, STAY, done, final, stay

TODAY = national_date(datetime.now(UTC))
MONTH = TODAY[:7]


RIGHT = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "440304199001010000", "psn_name": "测试庚"}


def visit(number: int, amount: str = "186.50", operator: str = "001") -> dict[str, Any]:
    usual = message()["operator"]
    return message(
        settle_key=f"K{number}",
        visit_key=f"V{number}",
        encounter_key=f"E{number}",
        fees=[line(f"F{number}", amount)],
        operator={**usual, "opter": operator, "dev_no": f"T{operator}"},
    )


async def do(hospital: Hospital, name: str, **order: Any) -> dict[str, Any]:
    return await accounts_of(hospital.running, hospital.running.place).do(name, order)


async def three_settled(hospital: Hospital) -> None:
    for number, operator in ((1, "001"), (2, "002"), (3, "002")):
        assert (await hospital.say(visit(number, operator=operator))).state == "SETTLED"


async def test_the_day_end_is_the_ledger_to_the_fen(hospital: Hospital) -> None:
    await three_settled(hospital)
    await hospital.say(void("R3", "K3"))
    hospital.rule("2207", "drop")
    hospital.temper(query="none")
    assert (await hospital.say(visit(4))).state == "PENDING"
    hospital.rules([])
    told = await do(hospital, "dayend", date=TODAY)
    by_operator = {one["operator"]: one for one in told["lines"]}
    assert (by_operator["002"]["settled"], by_operator["002"]["voided"]) == (2, 1)
    assert by_operator["002"]["terminal"] == "T002"
    cases = [await hospital.case("K1"), await hospital.case("K2")]
    for name, column in (("total", "total_fen"), ("fund", "fund_fen"), ("cash", "cash_fen")):
        expected = Decimal(sum(getattr(case, column) for case in cases)).scaleb(-2)
        assert Decimal(told[name]) == expected == sum(Decimal(one[name]) for one in told["lines"])
    assert told["agrees"] is True
    assert told["unknown"] == [(await hospital.case("K4")).case_id[:10].upper()]
    assert (by_operator["001"]["unknown"], by_operator["002"]["unknown"]) == (1, 0)
    [slip] = (await do(hospital, "dayend", date=TODAY, opter="002"))["lines"]
    assert slip == by_operator["002"]
    hospital.temper(query="by_visit")
    assert (await hospital.decided("K4")).state == "NOT_APPLIED"


async def test_dues_less_what_came_and_was_deducted(hospital: Hospital) -> None:
    await three_settled(hospital)
    told = await do(hospital, "receivables")
    [due] = told["receivables"]
    case = await hospital.case("K1")
    assert case.fund_fen is not None
    assert case.account_fen is not None
    assert Decimal(due["owed"]) == Decimal(3 * (case.fund_fen + case.account_fen)).scaleb(-2)
    assert (due["month"], due["count"], due["left"]) == (MONTH, 3, due["owed"])
    deduction = {"month": MONTH, "amount": "10.00", "operator": "测试主任", "reason": "审核扣款"}
    wrong = await do(hospital, "deduct", **{**deduction, "amount": "99.00"})
    await do(hospital, "unbook", item_id=wrong["item_id"], operator="测试主任", reason="金额登记错")
    booked = [await do(hospital, "deduct", **deduction) for _ in range(2)]
    assert booked[0] == booked[1], "the same notice twice is one deduction"
    left = str(Decimal(due["owed"]) - 10)
    heading = ["日期", "金额", "流水号", "付款方", "摘要"]
    rows = [
        heading,
        [TODAY, left, "B1", "测试医保中心", f"{MONTH} 结算款"],
        [TODAY, "1.00", "B2", "测试医保中心", "不明款项"],
    ]
    assert await do(hospital, "bank", rows=rows) == {"lines": 2, "new": 2, "matched": 1}
    assert (await do(hospital, "bank", rows=rows))["new"] == 0
    [after] = (await do(hospital, "receivables"))["receivables"]
    assert (after["came"], after["deducted"], after["left"]) == (left, "10.00", "0.00")
    [unknown] = (await do(hospital, "payments"))["payments"]
    assert (unknown["reference"], unknown["state"]) == ("B2", "unmatched")
    match = {"item_id": unknown["item_id"], "month": MONTH, "operator": "测试主任"}
    with pytest.raises(Refused) as refused:
        await do(hospital, "match", **match)
    assert refused.value.code == "MORE_THAN_OWED"
    whole = next(one for one in (await do(hospital, "payments", all=True))["payments"] if one["reference"] == "B1")
    await do(hospital, "unbook", item_id=whole["item_id"], operator="测试主任", reason="核销错")
    assert (await do(hospital, "match", **match))["state"] == "matched"
    [again] = (await do(hospital, "receivables"))["receivables"]
    assert (again["came"], Decimal(again["left"])) == ("1.00", Decimal(left) - 1)


async def test_a_months_application_goes_out_once_and_may_be_taken_back(hospital: Hospital) -> None:
    await three_settled(hospital)
    await hospital.say(void("R3", "K3"))
    told = await do(hospital, "apply", month=MONTH, clr_type="11")
    assert told["state"] == "applied"
    with pytest.raises(Refused) as refused:
        await do(hospital, "apply", month=MONTH, clr_type="11")
    assert refused.value.code == "APPLIED_ALREADY"
    assert len(hospital.sent("3203")) == 1
    assert (await do(hospital, "withdraw", month=MONTH, clr_type="11"))["state"] == "withdrawn"
    hospital.rule("3203", "commit", "drop")
    assert (await do(hospital, "apply", month=MONTH, clr_type="11"))["state"] == "unknown"
    with pytest.raises(Refused):
        await do(hospital, "apply", month=MONTH, clr_type="11")
    assert len(hospital.sent("3203")) == 2


async def test_an_application_waits_for_the_months_differences(hospital: Hospital) -> None:
    await three_settled(hospital)
    world = hospital.centre.world
    world.reverse(next(iter(world.settlements.values())))
    await do(hospital, "reconcile", date=TODAY)
    with pytest.raises(Refused) as refused:
        await do(hospital, "apply", month=MONTH, clr_type="11")
    assert refused.value.code == "DIFFERENCES_STAND"
    assert not hospital.sent("3203")


async def test_the_centres_list_is_compared_then_confirmed(hospital: Hospital) -> None:
    await three_settled(hospital)
    world = hospital.centre.world
    places = {one.visit.psn_no for one in world.settlements.values()}
    insured = [world.person(psn_no).insurances[0].insuplc_admdvs[:4] for psn_no in places]
    told = await do(hospital, "clear", month=MONTH)
    away = 3 if insured[0] != "3601" else 0
    assert (told["rows"], told.get("agrees", 0), told["not_listed"]) == (away, away, 0)
    if away:
        assert (await do(hospital, "clear", month=MONTH, confirm=True))["confirmed"]
        assert set(world.confirmed.values()) == {"1"}


async def test_three_sides_name_who_lacks_a_bill(hospital: Hospital) -> None:
    await three_settled(hospital)
    case, other = await hospital.case("K1"), await hospital.case("K2")
    parts, others = (
        [f"{Decimal(fen or 0).scaleb(-2):.2f}" for fen in (one.fund_fen, one.account_fen, one.cash_fen)]
        for one in (case, other)
    )
    rows = [
        ["业务号", "结算编号", "类型", "总额", "基金", "个人账户", "现金"],
        ["K1", case.setl_id, "结算", "186.50", *parts],
        ["K2", "", "结算", "186.51", *others],
        ["K9", "", "结算", "20.00", "0.00", "0.00", "20.00"],
    ]
    for _ in range(2):
        told = await do(hospital, "his", date=TODAY, rows=rows)
        texts = {one["class"]: one["text"] for one in told["differences"]}
        assert set(texts) == {"his_amount", "his_only", "his_missing"}
        assert texts["his_amount"] == "业务号 K2，账本 186.50，HIS 186.51，中心：未见差异"
        assert "HIS 无" in texts["his_missing"]
    rows[2][3] = "186.50"
    told = await do(hospital, "his", date=TODAY, rows=rows)
    assert {one["class"] for one in told["differences"]} == {"his_only", "his_missing"}
    standing = (await do(hospital, "differences", date=TODAY))["differences"]
    assert {one["class"] for one in standing} == {"his_only", "his_missing"}


async def test_flags_are_listed_dismissed_with_a_reason_and_block_nothing(hospital: Hospital) -> None:
    for number in range(1, 6):
        assert (await hospital.say(visit(number, "90.00"))).state == "SETTLED"
    for number in range(1, 6):
        assert (await hospital.say(void(f"R{number}", f"K{number}"))).state == "VOIDED"
    told = await do(hospital, "watch", date=TODAY)
    assert {one["class"] for one in told["flags"]} == {"split_bills", "refunds"}
    [refunds] = [one for one in told["flags"] if one["class"] == "refunds"]
    closed = await do(hospital, "close", item_id=refunds["item_id"], operator="测试主任", reason="集中退费，已核实")
    assert (closed["state"], closed["text"]) == ("explained", "集中退费，已核实")
    events, _ = await hospital.running.ledger.events_after(ORG, 0, ["FLAGGED", "EXPLAINED"], 10)
    assert [(event.kind, event.data.get("rule"), event.data.get("reason")) for _, event in events] == [
        ("FLAGGED", "split_bills", None), ("FLAGGED", "refunds", None), ("EXPLAINED", None, "集中退费，已核实"),
    ]  # fmt: skip
    assert len((await do(hospital, "watch", date=TODAY))["flags"]) == 2
    assert [one["class"] for one in (await do(hospital, "flags"))["flags"]] == ["split_bills"]
    assert (await hospital.say(visit(9))).state == "SETTLED"


async def test_terminals_quantities_and_identities_are_flagged_each_by_its_own_rule(hospital: Hospital) -> None:
    office = accounts_of(hospital.running, hospital.running.place)
    rules = {name: dict(rule) for name, rule in shipped_rules().items()}
    rules["terminal_many_cards"]["persons"] = 2
    rules["quantity"].update(lines=3, times=4)
    office.rules = rules
    many = [{**line("F3", "240.00"), "cnt": "240", "pric": "1.00"}]
    for tree in (visit(1), {**visit(2), "person": RIGHT}, {**visit(3), "fees": many}):
        assert (await hospital.say(tree)).state == "SETTLED"
    wrong = {**message()["person"], "psn_name": "测试庚"}
    assert (await hospital.say({**visit(4), "person": wrong})).code == "IDENTITY_MISMATCH"
    flags = (await office.do("watch", {"date": TODAY}))["flags"]
    assert {one["class"]: one["work_order"] for one in flags} == {
        "terminal_many_cards": "",
        "quantity": (await hospital.case("K3")).case_id[:10].upper(),
        "identity": (await hospital.case("K4")).case_id[:10].upper(),
    }


async def test_the_report_counts_every_day_region_and_reason(hospital: Hospital) -> None:
    await three_settled(hospital)
    hospital.rule("2207", "error(-1,没有获取到异地备案信息!)")
    await hospital.say(visit(4))
    hospital.rules([])
    assert (await hospital.case("K4")).state is State.REJECTED
    sheets = {
        one["title"]: one["rows"] for one in (await do(hospital, "report", **{"from": TODAY, "to": TODAY}))["sheets"]
    }
    assert sheets["按日"][1][:4] == [TODAY, "3", "0", "559.50"]
    assert sheets["直接结算率（按日）"][1:] == [[TODAY, "4", "3", "1", "75.0"], ["合计", "4", "3", "1", "75.0"]]
    [_, why] = sheets["未能直接结算的原因"]
    assert why[:3] == ["NOT_FILED", "1", "100.0"]
    assert "备案" in why[3]


async def test_the_prepayments_level_and_a_missed_date_raise_one_alarm_each(hospital: Hospital) -> None:
    await hospital.say(visit(1))
    office = accounts_of(hospital.running, hospital.running.place)
    case = await hospital.case("K1")
    assert case.fund_fen
    office.prepaid_fen = case.fund_fen * 100 // 75
    [alarm] = (await office.do("remind", {}))["alarms"]
    assert alarm["class"] == "prepayment"
    assert "75%" in alarm["text"]
    assert (await office.do("remind", {}))["alarms"] == []
    office.prepaid_fen = case.fund_fen
    assert len((await office.do("remind", {}))["alarms"]) == 1, "red is told apart from yellow"
    next_month = datetime.now(UTC) + timedelta(days=31)

    class Later(SystemClock):
        def wall(self) -> datetime:
            return next_month.replace(day=28)

    office.clock, office.prepaid_fen = Later(), 0
    told = {one["text"].split("：")[1].split()[1] for one in (await office.do("remind", {}))["alarms"]}
    assert told == {"账目全部对平", "清算申报（3203）", "清分确认（3261）"}
    await do(hospital, "reconcile", date=TODAY)
    await do(hospital, "apply", month=MONTH, clr_type="11")
    await do(hospital, "clear", month=MONTH, confirm=True)
    assert [row["what"] for row in (await office.do("calendar", {}))["calendar"] if row["late"]] == []


async def test_a_bill_that_may_be_inquired_into_is_listed_with_what_an_answer_needs(hospital: Hospital) -> None:
    await done(hospital, stay("admit"))
    await done(hospital, stay("upload_fees", fees=[line("F1", "30000.00")]))
    await done(hospital, stay("discharge", visit={**STAY, **LEAVING}))
    assert (await hospital.say(final(), wait_s=20)).state == "SETTLED"
    told = await do(hospital, "inquiries", month=MONTH)
    [row] = told["inquiries"]
    assert row["total"] == "30000.00"
    assert row["ipt_no"]
    assert told["table"][1][8] == "30000.00"


async def test_a_wrong_persons_settlement_is_taken_back_and_the_right_person_is_settled(hospital: Hospital) -> None:
    await hospital.say(visit(1))
    for _ in range(2):
        told = await do(hospital, "wrong_person", key="K1", operator="测试主任", reason="拿错卡")
        assert (told["state"], told["registration"]) == ("VOIDED", "undone")
    assert (len(hospital.sent("2208")), len(hospital.sent("2202"))) == (1, 1)
    assert (await hospital.kinds("K1")).count("SECURITY") == 1
    assert [one["class"] for one in (await do(hospital, "flags"))["flags"]] == ["wrong_person"]
    right = {**visit(1), "settle_key": "K1b", "supersedes": "K1", "person": RIGHT}
    assert (await hospital.refusal(right)).code == "PERSON_DIFFERS"
    assert (await hospital.say({**right, "encounter_key": "E1b"})).state == "SETTLED"
    settled = [(one["psn_no"], one["state"]) for one in hospital.truth["settlements"]]
    assert settled == [("T00000000001", "refunded"), ("T00000000007", "settled")]


async def test_a_wrong_persons_settlement_in_doubt_is_reversed_not_refunded_blindly(hospital: Hospital) -> None:
    hospital.can(late_commit_s=600.0)
    hospital.temper(query_lag_s=600.0)
    hospital.rule("2207", "commit", "drop")
    assert (await hospital.say(visit(1))).state == "PENDING"
    told = await do(hospital, "wrong_person", key="K1", operator="测试主任", reason="拿错卡")
    assert (told["state"], told["registration"]) == ("PENDING", "")
    assert "请勿为本人结算" in told["message_zh"]
    assert not (await hospital.case("K1")).wanted
    assert not hospital.sent("2208")


async def test_a_wrong_persons_refund_that_never_left_asks_for_patience(hospital: Hospital) -> None:
    await hospital.say(visit(1))
    hospital.rule("2208", "error(-1,该人员结算信息已清算不能退费)")
    told = await do(hospital, "wrong_person", key="K1", operator="测试主任", reason="拿错卡")
    assert (told["state"], told["registration"]) == ("NOT_APPLIED", "")
    assert "请勿为本人结算" in told["message_zh"]
    assert (await hospital.case("K1")).state is State.SETTLED
    assert not hospital.sent("2202")
