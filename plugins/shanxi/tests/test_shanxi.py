"""What the contract doesn't say: DBLIB's forms, blocks, the transaction around every call, and the provincial overlay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.bridge import BridgedGateway, values_of
from adapter_core.province.gateway import Site
from adapter_core.province.local_rules import load_rules, standing
from adapter_core.province.messages import Call, Mark, Outcome
from adapter_core.values.errors import ContractError, NotSupported, TranslationError
from adapter_core.values.frames import Frame
from his_adapter_shanxi.dialect import dblib
from his_adapter_shanxi.gateway import shanxi_dblib
from his_adapter_shanxi.policy import POLICY

SAMPLES = Path(__file__).parent / "samples" / "dblib"
MOMENT = datetime(2026, 11, 21, 1, 5, tzinfo=UTC)
PERSON = {"mdtrt_cert_type": "03", "mdtrt_cert_no": "T0000001", "psn_no": "T00000000001"}
FEES = [
    {
        "feedetl_sn": f"CF00{number}",
        "medins_list_codg": "Y001",
        "med_list_codg": "XA00000001",
        "fee_ocur_time": "2026-11-21 09:00:00",
        "pric": Decimal("93.25"),
        "cnt": Decimal(1),
        "det_item_fee_sumamt": Decimal("93.25"),
    }
    for number in (1, 2)
]
CONTENT: dict[str, Any] = {
    "person": PERSON,
    "visit": {"ipt_otp_no": "MZ0000001"},
    "settle": {"med_type": "11", "medfee_sumamt": Decimal("186.50")},
    "fees": FEES,
}


@pytest.fixture(scope="module")
def gateway() -> BridgedGateway:
    return shanxi_dblib(Site("H14000000001", "测试医院一", "140100"))


def call(step: str, message: str, kind_class: str, **further: Any) -> Call:
    return Call(step, message, kind_class, {**CONTENT, **further}, "H140000000012026112109050001")


def functions(gateway: BridgedGateway, one: Call) -> list[str]:
    return [step["function"] for step in read_json(gateway.encode(one, MOMENT).body)["steps"]]


def test_every_call_is_a_local_transaction_and_only_money_leaves_its_commit_to_the_plan(
    gateway: BridgedGateway,
) -> None:
    assert functions(gateway, call("trial", "PreExpenseCalc", "P")) == ["ReadCard", "PreExpenseCalc", "CommitTrans"]
    uploads = ["ReadCard", "FormularyEntry", "FormularyEntry", "CommitTrans"]
    assert functions(gateway, call("fees", "FormularyEntry", "U")) == uploads
    pay = call("pay", "ExpenseCalc", "N")
    assert functions(gateway, pay) == ["ReadCard", "ExpenseCalc"]
    request = read_json(gateway.encode(pay, MOMENT).body)
    assert [step["function"] for step in request["on_stop"]] == ["RollbackTrans"]
    assert values_of(request["steps"][1]["ins"])["BillNo"].decode() == pay.msgid


def test_the_second_phase_goes_into_the_session_of_the_first(gateway: BridgedGateway) -> None:
    first = call("pay", "ExpenseCalc", "N")
    original = {"omsgid": first.msgid, "oinfno": "ExpenseCalc"}
    for step, message, kind_class in (("commit", "CommitTrans", "K"), ("rollback", "RollbackTrans", "X")):
        second = replace(call(step, message, kind_class, original=original), msgid="M2")
        assert read_json(gateway.encode(second, MOMENT).body)["session"] == first.msgid
    assert gateway.route.steps["pay"].second is not None
    assert gateway.route.steps["pay"].second.handle == "session"


def told(*steps: tuple[str, str, dict[str, str]]) -> Frame:
    from base64 import b64encode

    rows = [
        {
            "function": name,
            "ret": ret,
            "outs": {key: b64encode(text.encode("gbk") + b"\x00" * 9).decode() for key, text in outs.items()},
        }
        for name, ret, outs in steps
    ]
    return Frame(body=write_json({"entered": True, "steps": rows}), status=200)


CARD = ("ReadCard", "0", {"EmployeeInfo": "|T1|", "AccountInfo": "|1|", "DataBuffer": ""})
PAID = (SAMPLES / "PreExpenseCalc.reply.txt").read_bytes().decode("gbk").splitlines()[1].partition("=")[2]


@pytest.mark.parametrize(
    ("steps", "mark", "text"),
    [
        ((CARD, ("ExpenseCalc", "0", {"DataBuffer": PAID})), Mark.OK, ""),
        (
            (CARD, ("ExpenseCalc", "-1", {"DataBuffer": "该单据号已存在，结算失败"})),
            Mark.REFUSED,
            "该单据号已存在，结算失败",
        ),
        ((("ReadCard", "-1", {"DataBuffer": "卡已挂失"}),), Mark.REFUSED, "卡已挂失"),
        ((CARD,), Mark.UNREADABLE, ""),
        ((CARD, ("ExpenseCalc", "", {"DataBuffer": PAID})), Mark.UNREADABLE, ""),
        ((CARD, ("ExpenseCalc", "0", {"DataBuffer": PAID[:40]})), Mark.UNREADABLE, ""),
        ((CARD, ("ExpenseCalc", "0", {"DataBuffer": PAID[1:]})), Mark.UNREADABLE, ""),
        ((CARD, ("ExpenseCalc", "0", {"DataBuffer": ""})), Mark.UNREADABLE, ""),
    ],
    ids=[
        "done",
        "refused",
        "the card is refused",
        "only the card",
        "no return value",
        "cut",
        "no leading mark",
        "empty",
    ],
)
def test_what_the_library_returned(gateway: BridgedGateway, steps: Any, mark: Mark, text: str) -> None:
    reply = gateway.decode(call("pay", "ExpenseCalc", "N"), told(*steps))
    assert reply.mark is mark
    assert reply.text == text or mark is not Mark.REFUSED
    if mark is Mark.OK:
        assert reply.content["result"]["setl_id"] == "H140000000012026112109050001"


@pytest.mark.parametrize(
    ("kind", "mark"),
    [("0", Mark.OK), ("00", Mark.OK), ("1", Mark.REFUSED), ("30", Mark.REFUSED), ("31", Mark.OK), ("41", Mark.OK),
     ("42", Mark.REFUSED), ("43", Mark.OK), ("", Mark.UNREADABLE), ("-1", Mark.UNREADABLE), ("OK", Mark.UNREADABLE)],
)  # fmt: skip
def test_a_full_block_stops_and_a_partial_one_warns(gateway: BridgedGateway, kind: str, mark: Mark) -> None:
    commit = ("CommitTrans", "0", {"DataBuffer": ""})
    reply = gateway.decode(
        call("block", "CheckMTQ", "R"), told(CARD, ("CheckMTQ", "0", {"DataBuffer": f"|{kind}|原因|"}), commit)
    )
    assert reply.mark is mark
    assert bool(reply.warnings) == (kind in ("31", "41", "43"))


def test_a_suspended_person_is_told_as_blocked() -> None:
    dialect = dblib({})
    asked = dialect.decode_request(
        dialect.read_frame_file((SAMPLES / "CheckMTQ.request.txt").read_bytes(), "CheckMTQ.request.txt")
    )
    for state, written in (("1", b"|0||"), ("2", b"|1||")):
        frame = dialect.encode_reply(asked, Outcome("DONE", "", "", {"person": {"psn_insu_stas": state}}))
        assert frame.outs["DataBuffer"] == written


def test_a_pin_is_never_kept() -> None:
    read = dblib({}).decode_request(Frame(function="ReadCard", ins={"Pin": b"987654", "DestCardNo": b"T0000001"}))
    assert "987654" not in repr(read)


@pytest.mark.parametrize(("trans", "invoice"), [("2", "1"), ("-2", "1"), ("1", "1"), ("9", "0")])
def test_inpatient_settlements_are_declared_not_built(trans: str, invoice: str) -> None:
    ins = {"TransType": trans.encode(), "InvoiceKind": invoice.encode(), "VisitNo": b"1", "BillNo": b"1"}
    with pytest.raises(NotSupported):
        dblib({}).decode_request(Frame(function="ExpenseCalc", ins=ins))


def test_a_shared_account_has_no_place() -> None:
    dialect = dblib({})
    asked = dialect.decode_request(
        dialect.read_frame_file((SAMPLES / "ExpenseCalc.request.txt").read_bytes(), "ExpenseCalc.request.txt")
    )
    result = {
        "medfee_sumamt": Decimal(1),
        "psn_cash_pay": Decimal(1),
        "fund_pay_sumamt": Decimal(0),
        "acct_mulaid_pay": Decimal(1),
    }
    with pytest.raises(TranslationError, match="acct_mulaid_pay"):
        dialect.encode_reply(asked, Outcome("SETTLED", "", "", {"result": result}))


def test_the_overlay_is_dated_and_says_what_to_check() -> None:
    codes = {rule.code for rule in POLICY.local_rules}
    assert {"chronic_registration", "pre_admission", "dual_channel", "three_fixed", "two_diseases"} <= codes
    before = {rule.code for rule in standing(POLICY.local_rules, date(2021, 3, 31))}
    after = {rule.code for rule in standing(POLICY.local_rules, date(2021, 4, 1))}
    assert after - before == {"chronic_registration"}
    fixed = next(rule for rule in POLICY.local_rules if rule.code == "three_fixed")
    assert len(fixed.check) == 3


@pytest.mark.parametrize(
    "text",
    ['[[rule]]\ncode = "a"\ntitle = "t"', '[[rule]]\ncode = "a"\ntitle = "t"\nsays = "s"\nbegins = "2021-4-1"',
     '[[rule]]\ncode = "a"\ntitle = "t"\nsays = "s"\nrate = "0.5"', "[[rule"],
)  # fmt: skip
def test_a_faulty_rule_never_loads(text: str) -> None:
    with pytest.raises(ContractError):
        load_rules(text)
