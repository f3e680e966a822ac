"""Two ways to put the simulated centre's messages into bytes: a cheap lane for most cases, the national form for the rest.

Both run below the core's own judgement: parsing, echoes, sums and policy are the real ones in every case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

import msgspec

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.national import NationalGateway, Profile, national_route_text, service_path
from adapter_core.province.plan import Route, load_route
from adapter_core.province.policy import Policy
from adapter_core.testing.simtest.centre import NO_ORIGINAL, NOTHING_FOUND, UNDONE, Answer, Asked, Temperament
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china
from adapter_core.values.money import fen, from_fen

FAILED = "-1"
SITE = Site("H36010000001", "测试医院", "360100")
AMOUNTS = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_part_amt", "psn_cash_pay", "hosp_part_amt")
SHORTENED = {
    'outpatient = ["who", "qualified", "chosen", "register", "info", "fees", "trial", "pay"]': 'outpatient = ["register", "fees", "trial", "pay"]',
    'inpatient = ["who", "admit", ': 'inpatient = ["admit", ',
    'pharmacy = ["who", ': "pharmacy = [",
    'pharmacy = { identify = "who", ': "pharmacy = { ",
    'outpatient = { identify = "who", ': "outpatient = { ",
    'inpatient = { identify = "who", ': "inpatient = { ",
}


class Lane(Protocol):
    """``gateway`` speaks for the core, ``read`` and ``write`` for the centre."""

    name: str

    def gateway(self, capabilities: Capabilities, policy: Policy, second: str = "") -> Gateway: ...

    def read(self, frame: Frame) -> Asked: ...

    def write(self, asked: Asked, answer: Answer) -> Frame: ...


def policy_of(temperament: Temperament) -> Policy:
    """The shipped policy, with the words this centre has for a settlement that isn't there."""
    named: dict[str, Any] = {"absent_texts": (NOTHING_FOUND,)} if temperament.empty_query_refuses else {}
    if temperament.reverse_missing == "error":
        named["reverse_missing_texts"] = (NO_ORIGINAL,)
    if temperament.two_phase:
        named["texts"] = ((UNDONE, "not_registered_with_centre"),)
    return Policy(**named)


def shown_result(asked: Asked, answer: Answer) -> dict[str, Any]:
    """``setlinfo``: what the centre prints of a settlement, national names, amounts as Decimal."""
    one = answer.shown
    if one is None:
        return {}
    whose = one.asked
    sign = answer.sign
    return {
        **({"setl_id": one.setl_id} if one.setl_id else {}),
        "medins_setl_id": whose.msgid,
        "psn_no": whose.psn_no,
        "mdtrt_id": whose.mdtrt_id,
        "medfee_sumamt": from_fen(sign * whose.total_fen),
        "fund_pay_sumamt": from_fen(sign * one.fund_fen),
        "acct_pay": from_fen(sign * one.account_fen),
        "psn_part_amt": from_fen(sign * (one.account_fen + one.cash_fen)),
        "psn_cash_pay": from_fen(sign * one.cash_fen),
        "hosp_part_amt": from_fen(0),
        **({"refd_setl_flag": "1" if answer.refunded else "0"} if asked.infno == "5203" else {}),
    }


# -- the cheap lane


SECOND_STEPS = """
[step.commit]
call = "49CO"
class = "K"
[step.rollback]
call = "49AB"
class = "X"
"""


@cache
def _short_route(second: str = "") -> Route:
    """second: what the money steps declare of their second phase, TOML; "" = they have none."""
    text = national_route_text()
    if second:
        for step in ("pay", "stay_pay", "drug_pay"):
            text = text.replace(f"[step.{step}]\n", f"[step.{step}]\nsecond = {second}\n")
        text += SECOND_STEPS
    for old, new in SHORTENED.items():
        if old not in text:
            raise ValueError(f"the national plan has no line {old!r} any more: shorten it anew")
        text = text.replace(old, new)
    return load_route(text)


class CheapGateway:
    """The national numbers in a body of one flat JSON list; checks what a step can't do without."""

    name = "simulated"

    def __init__(self, capabilities: Capabilities, policy: Policy, second: str = "") -> None:
        self.route = _short_route(second)
        self.policy = policy
        self.capabilities = capabilities

    def msgid(self, moment: datetime, sequence: int) -> str:
        return f"{SITE.fixmedins_code}{china(moment):%Y%m%d%H%M%S}{sequence % 10000:04}"

    def encode(self, call: Call, moment: datetime) -> Frame:
        content = call.content
        visit, original = content.get("visit", {}), content.get("original", {})
        settle = content.get("settle", {})
        step = next((one for one in self.route.steps.values() if one.second), None)
        theirs = call.kind_class == "K" and step is not None and step.second and step.second.handle == "theirs"
        row = [
            call.message,
            call.msgid,
            content.get("person", {}).get("psn_no", ""),
            visit.get("mdtrt_id", ""),
            visit.get("ipt_otp_no", ""),
            content.get("bill", {}).get("chrg_bchno", ""),
            content.get("settled", {}).get("setl_id", ""),
            "" if theirs else original.get("omsgid", ""),
            original.get("oinfno", ""),
            fen(Decimal(settle.get("medfee_sumamt", 0))),
        ]
        return Frame(body=msgspec.json.encode(row))

    def decode(self, call: Call, frame: Frame) -> Reply:
        try:
            infcode, text, content = json.loads(frame.body, parse_float=Decimal)
        except ValueError as error:
            return Reply(Mark.UNREADABLE, text=type(error).__name__)
        if infcode != "0":
            return Reply(Mark.REFUSED, infcode, text)
        if frame.status != 200:
            return Reply(Mark.UNREADABLE, text=f"HTTP {frame.status}")
        for name in AMOUNTS:
            if name in content.get("result", {}):
                content["result"][name] = Decimal(content["result"][name])
        return Reply(Mark.OK, infcode, text, content)

    def echo_faults(self, call: Call, reply: Reply) -> tuple[str, ...]:
        return NationalGateway.echo_faults(self, call, reply)  # type: ignore[arg-type]

    def faults(self, call: Call) -> tuple[Fault, ...]:
        return ()


class CheapLane:
    name = "cheap"

    def gateway(self, capabilities: Capabilities, policy: Policy, second: str = "") -> Gateway:
        return CheapGateway(capabilities, policy, second)

    def read(self, frame: Frame) -> Asked:
        return Asked(*json.loads(frame.body))

    def write(self, asked: Asked, answer: Answer) -> Frame:
        if answer.kind != "ok":
            return Frame(body=msgspec.json.encode([FAILED, answer.text, {}]), status=200)
        content: Content = {}
        result = shown_result(asked, answer)
        if result:
            content["result"] = {**result, **{name: str(result[name]) for name in AMOUNTS}}
        if answer.mdtrt_id:
            content["visit"] = {"mdtrt_id": answer.mdtrt_id}
        if asked.infno == "5201":
            content["visits"] = [{"mdtrt_id": one, "ipt_otp_no": other} for one, other in answer.visits]
        return Frame(body=msgspec.json.encode(["0", "", content]), status=200)


# -- the national lane


class NationalLane:
    """Real national requests and replies through `NationalGateway`."""

    name = "national"

    def gateway(self, capabilities: Capabilities, policy: Policy, second: str = "") -> Gateway:
        return NationalGateway("national", SITE, Profile(path=_path), policy, capabilities)

    def read(self, frame: Frame) -> Asked:
        tree = json.loads(frame.body, parse_float=Decimal)
        nodes = tree["input"]
        record: Mapping[str, Any] = nodes.get("data") or nodes.get("mdtrtinfo") or next(iter(nodes.values()), {})
        if isinstance(record, list):
            record = record[0] if record else {}
        return Asked(
            tree["infno"],
            tree["msgid"],
            str(record.get("psn_no", "")),
            str(record.get("mdtrt_id", "")),
            str(record.get("ipt_otp_no", "")),
            str(record.get("chrg_bchno", "")),
            str(record.get("setl_id") or ""),
            str(record.get("omsgid", "")),
            str(record.get("oinfno", "")),
            fen(Decimal(record.get("medfee_sumamt") or 0)),
        )

    def write(self, asked: Asked, answer: Answer) -> Frame:
        output = _output(asked, answer) if answer.kind == "ok" else {}
        tree = {
            "infcode": "0" if answer.kind == "ok" else FAILED,
            "inf_refmsgid": asked.msgid,
            "refmsg_time": "",
            "respond_time": "",
            "err_msg": answer.text,
            "output": output,
        }
        return Frame(body=json.dumps(tree, ensure_ascii=False, default=float_free).encode(), status=200)


def _output(asked: Asked, answer: Answer) -> dict[str, Any]:
    number = asked.infno[:4]
    if number == "1101":
        return {
            "baseinfo": {"psn_no": "36000000000000000000000001", "psn_name": "测试甲", "certno": "110101190001010000"},
            "insuinfo": [{"insutype": "310", "psn_insu_stas": "1", "insuplc_admdvs": "350100", "balc": "500.00"}],
        }
    if number == "2201":
        return {"data": {"mdtrt_id": answer.mdtrt_id, "psn_no": asked.psn_no, "ipt_otp_no": asked.ipt_otp_no}}
    if number == "5201":
        return {"mdtrtinfo": [{"mdtrt_id": one, "ipt_otp_no": other} for one, other in answer.visits]}
    result = shown_result(asked, answer)
    return {"setlinfo": result, "setldetail": []} if result else {}


def float_free(value: object) -> str:
    """Money as text, the way many centres send it."""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    raise TypeError(type(value).__name__)


def _path(site: Site, infno: str) -> str:
    return "/5201" if infno.startswith("5201") else service_path(site, infno)


LANES: Mapping[str, Lane] = {"cheap": CheapLane(), "national": NationalLane()}
