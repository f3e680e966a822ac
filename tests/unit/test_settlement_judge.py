"""One reply, one verdict: class of the call × what the reply says → what is known (`reliability.md` §1)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.national import NationalGateway, national
from adapter_core.province.policy import reasons
from adapter_core.settlement.amounts import broken_identities
from adapter_core.settlement.judge import judge
from adapter_core.settlement.states import Result
from adapter_core.values.frames import Frame

A, R, U = Result.APPLIED, Result.REJECTED, Result.UNKNOWN
LISTED, UNLISTED = "没有获取到异地备案信息!", "本中心自有说法"
STEPS = {"R": "who", "P": "trial", "U": "fees", "C": "register", "N": "pay", "X": "reverse", "session": "sign"}
ASKED = {
    "person": {"psn_no": "T1"}, "visit": {"mdtrt_id": "M1"}, "settle": {"medfee_sumamt": Decimal("200.00")},
}  # fmt: skip
WHOLE = {
    "setl_id": "S1", "psn_no": "T1", "mdtrt_id": "M1", "medins_setl_id": "MSG1", "medfee_sumamt": Decimal("200.00"),
    "fund_pay_sumamt": Decimal("150.00"), "psn_part_amt": Decimal("50.00"), "acct_pay": Decimal("20.00"),
    "psn_cash_pay": Decimal("30.00"), "hosp_part_amt": Decimal("0.00"),
}  # fmt: skip


class Told(NationalGateway):
    """The national gateway, told what it reads."""

    reply: Reply | Exception

    def decode(self, call: Call, frame: Frame) -> Reply:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def gateway(reply: Reply | Exception, **capabilities: Any) -> Told:
    made = national(Site("H36010000001", "测试医院", "360100"))
    told = Told("told", made.site, made.profile, capabilities=Capabilities(**capabilities))
    told.reply = reply
    return told


def call(kind_class: str, step: str = "", **changes: Any) -> Call:
    return Call(step or STEPS[kind_class], "2207", kind_class, {**ASKED, **changes}, "MSG1")


def verdict(kind_class: str, reply: Reply | Exception, **capabilities: Any) -> Result:
    return judge(gateway(reply, **capabilities), call(kind_class), Frame()).result


def ok(**changes: Any) -> Reply:
    result = {name: value for name, value in {**WHOLE, **changes}.items() if value is not None}
    return Reply(Mark.OK, "0", "", {"result": result})


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        #                                      R  P  U  C  N  session
        (ok(), "A A A A A A"),
        (Reply(Mark.UNREADABLE, text="html"), "U U U U U U"),
        (ValueError("the plugin tripped"), "U U U U U U"),
        (Reply(Mark.REFUSED, "-1", LISTED), "R R R R R R"),
        (Reply(Mark.REFUSED, "-1", UNLISTED), "R R R R U R"),
        (Reply(Mark.REFUSED, "-1", ""), "R R R R U R"),
        (Reply(Mark.REFUSED, "-1", "该单据已结算"), "R R R R U R"),
        (Reply(Mark.REFUSED, "-1", f"系统异常：{LISTED}"), "R R R R U R"),
        (ok(medfee_sumamt=Decimal("199.00")), "A R A A U A"),
        (ok(psn_cash_pay=Decimal("30.01")), "A R A A U A"),
        (ok(psn_no="T2"), "A R A A U A"),
        (ok(mdtrt_id="M2"), "A R A A U A"),
        (ok(medins_setl_id="MSG2"), "A R A A U A"),
        (ok(setl_id=None), "A A A A U A"),
        (ok(psn_no=None, mdtrt_id="", medins_setl_id=None), "A A A A A A"),
        (ok(fund_pay_sumamt=Decimal("149.995"), psn_part_amt=Decimal("50.005"), psn_cash_pay=Decimal("30.005")), "A R A A U A"),
        (ok(medfee_sumamt=None), "A R A A U A"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_known(reply: Reply | Exception, expected: str) -> None:
    found = [verdict(kind, reply) for kind in ("R", "P", "U", "C", "N", "session")]
    assert [str(one)[0] for one in found] == expected.split()


def test_a_registration_the_centre_already_has_is_not_a_refusal() -> None:
    adopting = next(text for reason in reasons().values() if reason.pipeline == "adopt" for text in reason.texts)
    assert verdict("C", Reply(Mark.REFUSED, "-1", adopting)) is U


def test_where_the_gateway_may_repeat_no_refusal_of_money_is_final() -> None:
    refused = Reply(Mark.REFUSED, "-1", LISTED)
    assert verdict("N", refused, may_repeat=True) is U
    assert verdict("C", refused, may_repeat=True) is R


def test_a_gateway_that_trips_over_an_echo_leaves_the_outcome_unknown() -> None:
    tripping = gateway(Reply(Mark.OK, "0", "", {"result": [WHOLE]}))  # rows where a record belongs
    assert judge(tripping, call("N"), Frame()).result is U


def test_nothing_of_an_unbelieved_reply_is_handed_on() -> None:
    found = judge(gateway(ok(psn_no="T2")), call("N"), Frame())
    assert (found.content, found.refs) == ({}, {})
    assert found.code == "REPLY_CONTRADICTS"
    assert "psn_no" in found.text


def test_a_refunds_amounts_may_come_negative_or_positive_but_not_others() -> None:
    negative = {name: -value for name, value in WHOLE.items() if isinstance(value, Decimal)}
    refund = call("N", "void")
    for reply, expected in ((ok(**negative), A), (ok(), A), (ok(medfee_sumamt=Decimal("-1.00")), U)):
        assert judge(gateway(reply), refund, Frame()).result is expected
    assert judge(gateway(ok(**negative)), call("N"), Frame()).result is U


@pytest.mark.parametrize(
    ("inside", "outside", "changes"),
    [
        (True, True, {}),
        (True, False, {"acct_mulaid_pay": Decimal("5.00")}),
        (False, True, {"acct_mulaid_pay": Decimal("5.00"), "psn_cash_pay": Decimal("25.00")}),
        (True, True, {"psn_part_amt": None}),
        (True, True, {"fund_pay_sumamt": Decimal("140.00"), "hosp_part_amt": Decimal("10.00")}),
        (False, False, {"hosp_part_amt": Decimal("0.01")}),
        (False, False, {"acct_pay": None}),
    ],
)
def test_the_identities_of_money(inside: bool, outside: bool, changes: dict[str, Any]) -> None:
    """inside, outside: whether all holds where the shared account is, or is not, part of ``acct_pay``."""
    result = {name: value for name, value in {**WHOLE, **changes}.items() if value is not None}
    assert (broken_identities(result) == []) is inside
    assert (broken_identities(result, shared_account_outside=True) == []) is outside
    assert (judge(gateway(ok(**changes), shared_account_outside=True), call("N"), Frame()).result is A) is outside


def test_reasons_name_a_refusal_whatever_it_proves() -> None:
    for kind in ("R", "N"):
        found = judge(gateway(Reply(Mark.REFUSED, "-1", LISTED)), replace(call(kind)), Frame())
        assert found.reason is not None
        assert (found.reason.code, found.text) == ("not_filed", LISTED)
