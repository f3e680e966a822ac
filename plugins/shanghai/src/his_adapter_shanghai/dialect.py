"""Shanghai's V5 interface (五期): pinyin JSON, one dialect towards a HIS and towards the centre.  The table says nearly everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from adapter_core.formats.tables import FieldTable, build_spec
from adapter_core.formats.tables.loader import parse_table
from adapter_core.province.messages import Mark, Operation, Outcome, Reply
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks, TableDialect
from adapter_core.values.content import Content
from adapter_core.values.errors import ConfigError, Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.secrets import Secret

CHARSETS = ("gbk", "utf-8")
MAGNETIC, SECURITY_CARD, ELECTRONIC = "0", "1", "3"
"""``cardtype``: only of a security card is the data empty, for the reader has it."""
CARDS = {"01": ELECTRONIC, "03": MAGNETIC}
SETTLING = ("SI11", "SI12", "SI51", "SI52")
CARRIES_CARD = (*SETTLING, "SM01", "SN01", "SN02", "SK01")
TELLS_AMOUNTS = (*SETTLING, "SK01", "SI91")
ZERO = Decimal("0.00")
ADDED = frozenset(
    [
        "person.mdtrt_cert_type",
        "settle.medfee_sumamt",
        "result.psn_cash_pay",
        "diagnoses.diag_type",
        "diagnoses.diag_srt_no",
    ]
)
"""What the hooks add to what a message says."""


@cache
def table_text(name: str) -> str:
    """The TOML of ``v5`` or ``v5_route``."""
    return (files("his_adapter_shanghai") / "tables" / f"{name}.toml").read_text("utf-8")


def v5_table(options: Options) -> FieldTable:
    """The table for one site.  Raises: ConfigError."""
    rest = {key: value for key, value in options.items() if key != "charset"}
    raw = parse_table(table_text("v5"), "v5.toml")
    raw["frame"]["charset"] = options.get("charset", raw["frame"]["charset"]).lower()
    if raw["frame"]["charset"] not in CHARSETS:
        raise ConfigError(f"v5.toml: charset is one of {', '.join(CHARSETS)}")
    return FieldTable(build_spec(raw, "v5.toml", rest))


class V5Dialect(TableDialect):
    """JSON over HTTP, or as the library has it: ``SendRcv4(startupParam, sendMsg, rcvMsg)``, answered in the form it was asked."""

    def decode_request(self, frame: Frame) -> Operation:
        """Raises: TranslationError with every fault of the message, NotSupported."""
        if not frame.function:
            return super().decode_request(frame)
        operation = super().decode_request(Frame(body=frame.ins.get("sendMsg", b"").strip(b"\x00"), side=frame.side))
        return replace(operation, echo={**operation.echo, "function": frame.function})

    def encode_reply(self, asked: Operation, outcome: Outcome) -> Frame:
        """Raises: TranslationError when the form can't carry it."""
        frame = super().encode_reply(replace(asked, echo={"xxlxm": asked.message, **asked.echo}), outcome)
        return Frame(outs={"rcvMsg": frame.body}) if "function" in asked.echo else frame


def v5(options: Options) -> V5Dialect:
    """The dialect that serves a HIS.

    Options: ``charset`` (``gbk`` | ``utf-8``), those of the table's ``[options]``, ``codes.med_type.<local>``.  Raises: ConfigError.
    """
    return V5Dialect(v5_table(options), v5_hooks())


def v5_hooks() -> Hooks:
    """What the table can't say: the credential's type is the card's; a bill's total is that of its uploads; cash is the segments'
    cash and what lies outside the insurance; the shared account is counted beside the account here and inside it nationally."""

    def after_decode(message: str, side: str, sections: Content) -> Content:
        if side == "ask":
            return _asked(message, sections)
        return _amounts_read(sections) if message in TELLS_AMOUNTS else sections

    def before_encode(message: str, side: str, sections: Content) -> Content:
        if side == "ask":
            return _to_ask(message, sections)
        return _amounts_told(message, sections) if message in TELLS_AMOUNTS and "result" in sections else sections

    return Hooks(after_decode, before_encode, ADDED)


def _asked(message: str, sections: Content) -> Content:
    card = sections.get("x", {}).get("cardtype")
    if card:
        sections.setdefault("person", {})["mdtrt_cert_type"] = "01" if card == ELECTRONIC else "03"
    if message in SETTLING:
        if sections.get("lines"):
            total = sum((line["det_item_fee_sumamt"] for line in sections["lines"]), ZERO)
            sections.setdefault("settle", {})["medfee_sumamt"] = total
        for number, diagnosis in enumerate(sections.get("diagnoses", []), 1):
            diagnosis.update({"diag_type": "1", "diag_srt_no": Decimal(number)})
    return sections


def _to_ask(message: str, sections: Content) -> Content:
    kept = sections.setdefault("x", {})
    if message in CARRIES_CARD and "cardtype" not in kept:
        kept["cardtype"] = _card(sections.get("person", {}))
    if message == "SK01" and "totalexpense" not in kept:
        total = sections.get("settled", {}).get("medfee_sumamt")
        if total is not None:
            kept["totalexpense"] = total
    if message == "SN01":
        sections["fees"] = [_line(number, fee) for number, fee in enumerate(sections.get("fees", []), 1)]
    return sections


def _card(person: Mapping[str, Any]) -> str:
    held = person.get("mdtrt_cert_type", "03")
    if held not in CARDS:
        raise TranslationError(
            [Fault("person.mdtrt_cert_type", "01 电子凭证或 03 社保卡（五期没有身份证）", str(held))]
        )
    return CARDS[held] if held == "01" or person.get("mdtrt_cert_no") else SECURITY_CARD


def _line(number: int, fee: Mapping[str, Any]) -> Content:
    """A line with its place in the upload; what the insurance covers of it is the whole, unless the HIS has said otherwise."""
    amount = str(fee.get("det_item_fee_sumamt", ""))
    said = {"xh": str(number), "mxxmjyfy": amount, "mxxmybjsfwfy": amount, **fee.get("x", {})}
    return {
        **fee,
        "medins_list_codg": fee.get("med_list_codg"),
        "x": {name: text for name, text in said.items() if text},
    }


def _amounts_read(sections: Content) -> Content:
    result, kept = sections.get("result", {}), sections.get("x", {})
    if "cash_in_scope" in kept and result:
        result["psn_cash_pay"] = kept["cash_in_scope"] + result.get("fulamt_ownpay_amt", ZERO)
    shared = result.get("acct_mulaid_pay")
    if shared:
        result["acct_pay"] = result.get("acct_pay", ZERO) + shared
    return sections


def _amounts_told(message: str, sections: Content) -> Content:
    result, kept = sections["result"], sections.setdefault("x", {})
    shared = result.get("acct_mulaid_pay")
    if shared:
        result["acct_pay"] = result.get("acct_pay", ZERO) - shared
    cash = result.get("psn_cash_pay")
    if cash is None:
        return sections
    outside = ZERO if message == "SK01" else result.get("fulamt_ownpay_amt", ZERO)
    if abs(outside) > abs(cash):  # a refund's amounts may be negative
        raise TranslationError([Fault("fybjsfwfyze", f"不大于现金 {cash}", str(outside), "非医保结算范围费用")])
    kept["cash_in_scope"] = cash - outside
    return sections


@dataclass(frozen=True, slots=True)
class PayStatus:
    """What the centre's ``paystatus`` means here, as the site has verified it; "" = not known."""

    done: str = ""
    absent: str = ""


class V5Centre(TableDialect):
    """The dialect as it calls a centre through the library.  startup: the site's own startupParam."""

    def __init__(self, table: FieldTable, status: PayStatus, startup: Secret) -> None:
        super().__init__(table, v5_hooks())
        self._status = status
        self._startup = startup

    def encode_request(self, operation: Operation) -> Frame:
        """Raises: as TableDialect."""
        visit = operation.content.get("visit", {})
        number = visit.get("mdtrt_id") or visit.get("ipt_otp_no")
        refs = {**({"visit": number} if number else {}), **operation.refs}
        uploads = operation.content.get("lines", [])
        if operation.message == "SN02" and uploads and "batch" not in refs:
            refs["batch"] = uploads[0]["x"]["mxzdh"]  # the bridge makes one call of each upload
        body = super().encode_request(replace(operation, refs=refs)).body
        ins = {"startupParam": self._startup.reveal().encode("utf-8"), "sendMsg": body}
        return Frame(function=self.table.spec.frame.function, ins=ins)

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """As TableDialect; an upload gives one row for the bill, a settlement its own number, a reversal the whole amounts."""
        body = frame.outs.get("rcvMsg", b"").strip(b"\x00")
        reply = super().decode_reply(asked, Frame(body=body, status=frame.status))
        if reply.mark is not Mark.OK:
            return reply
        match asked.message:
            case "SN01":
                return replace(reply, content={**reply.content, "lines": [_batch(asked, reply)]})
            case "SK01":
                return replace(reply, content={**reply.content, "result": _reversed(asked, reply)})
            case "SI91":
                return self._found(asked, reply)
        if "receipt" in reply.refs:
            result = {**reply.content["result"], "setl_id": reply.refs["receipt"]}
            return replace(reply, content={**reply.content, "result": result})
        return reply

    def _found(self, asked: Operation, reply: Reply) -> Reply:
        """A settlement only with its own number, amounts and our quote; an absence only where the site knows its code."""
        status = str(reply.content.get("x", {}).get("paystatus", ""))
        if status and status == self._status.absent:
            return replace(reply, content={"result": {}})
        whole = "receipt" in reply.refs and reply.refs.get("quote", "") in ("", asked.refs.get("quote"))
        if not whole or (self._status.done and status != self._status.done):
            return Reply(Mark.UNREADABLE, reply.code, f"paystatus {status[:8]!r} is not known to mean anything here")
        facts = {"setl_id": reply.refs["receipt"], "medins_setl_id": asked.refs.get("queried", "")}
        return replace(reply, content={**reply.content, "result": {**reply.content["result"], **facts}})


def _batch(asked: Operation, reply: Reply) -> Content:
    total = sum((Decimal(fee["det_item_fee_sumamt"]) for fee in asked.content.get("fees", [])), ZERO)
    covered = sum((_covered(fee) for fee in asked.content.get("fees", [])), ZERO)
    return {
        "det_item_fee_sumamt": total,
        "inscp_scp_amt": covered,
        "fulamt_ownpay_amt": total - covered,
        "x": {"mxzdh": reply.refs["batch"]},
    }


def _covered(fee: Mapping[str, Any]) -> Decimal:
    return Decimal(fee.get("x", {}).get("mxxmybjsfwfy", fee["det_item_fee_sumamt"]))


def _reversed(asked: Operation, reply: Reply) -> Content:
    """SK01 takes back the whole settlement and tells no total: the settlement's amounts, where the reply's agree with them."""
    told = {**reply.content.get("result", {}), "setl_id": reply.refs["refund"]}
    settled = asked.content.get("settled", {})
    same = all(abs(told.get(name, ZERO)) == settled.get(name, ZERO) for name in ("acct_pay", "fund_pay_sumamt"))
    own = ("setl_id", "balc", "refs")
    return {**told, **{name: value for name, value in settled.items() if name not in own}} if same else told
