"""The national JSON dialect: the body of ``POST /v1/settlements`` (`contracts.md` §4), for a HIS with nothing older.

Works without any plugin.  One JSON object a message; ``intent`` is the verb: settle, quote, void, cancel, identify, query.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapter_core.formats.json import read_json, write_json
from adapter_core.province.dialect import MessageInfo, RefKind
from adapter_core.province.messages import KINDS, Mark, Operation, Outcome, Reply
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.money import MoneyError, number

INTENTS = {
    "settle": "结算",
    "quote": "预结算",
    "void": "退费",
    "cancel": "取消",
    "confirm": "确认入账",
    "identify": "读取人员信息",
    "register": "挂号登记",
    "admit": "入院登记",
    "upload_fees": "上传费用明细",
    "discharge": "出院登记",
    "drop_fees": "撤销费用明细",
    "undischarge": "出院撤销",
    "unadmit": "入院撤销",
    "unregister": "挂号撤销",
    "file": "备案",
    "unfile": "备案撤销",
    "fold": "门诊费用并入住院",
    "unfold": "并入费用退回门诊",
    "query": "查询",
}
KEYS = {
    "encounter_key": "encounter",
    "visit_key": "visit",
    "settle_key": "settle",
    "void_key": "void",
    "supersedes": "supersedes",
}
ON_UNKNOWN = ("adopt", "reverse")
RECORDS = ("person", "visit", "settle", "filing", "newborn")
LISTS = {"diagnoses": "diagnoses", "fees": "fees"}
AMOUNTS = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "acct_mulaid_pay", "psn_cash_pay", "hosp_part_amt", "balc")
NUMBERS = {"medfee_sumamt": (16, 2), "det_item_fee_sumamt": (16, 2), "cnt": (16, 4), "pric": (16, 6), "prd_days": (4, 2),
           "diag_srt_no": (2, 0), "geso_val": (2, 0)}  # fmt: skip
REQUIRED = {
    "settle": ("settle_key",),
    "quote": ("settle_key",),
    "void": ("void_key",),
    **dict.fromkeys(
        (
            "register",
            "admit",
            "upload_fees",
            "discharge",
            "drop_fees",
            "undischarge",
            "unadmit",
            "unregister",
            "fold",
            "unfold",
        ),
        ("encounter_key",),
    ),
}
ADDING = frozenset({"upload_fees", "drop_fees", "fold", "unfold"})
"""Intents whose fee lines are an addition, not the bill's whole list."""


class NationalDialect:
    """Satisfies `Dialect`.  Money is a JSON string with two places in our answers, string or number in requests."""

    name = "national"
    charset = "utf-8"
    refs: Mapping[str, RefKind] = {}
    messages = tuple(MessageInfo(intent, intent, title, "contracts.md §4") for intent, title in INTENTS.items())

    def decode_request(self, frame: Frame) -> Operation:
        return self.read_tree(read_json(frame.body))

    def read_tree(self, tree: object) -> Operation:
        """The operation of a body that is parsed already.  Raises: TranslationError with every fault."""
        if not isinstance(tree, dict):
            raise TranslationError([Fault("$", "a JSON object", type(tree).__name__)])
        intent = tree.get("intent", "settle")
        kind = tree.get("kind", "outpatient")
        faults = [
            Fault(path, f"one of {', '.join(allowed)}", str(value)[:20])
            for path, value, allowed in (
                ("intent", intent, tuple(INTENTS)),
                ("kind", kind, KINDS),
                ("on_unknown", tree.get("on_unknown") or "adopt", ON_UNKNOWN),
            )
            if not isinstance(value, str) or value not in allowed
        ]
        faults += [
            Fault(name, "a key of at most 64 characters", "nothing")
            for name in REQUIRED.get(str(intent), ())
            if not tree.get(name)
        ]
        faults += [
            Fault(name, "a text of at most 64 characters", f"{len(str(tree[name]))} characters")
            for name in KEYS
            if tree.get(name) is not None and (not isinstance(tree[name], str) or len(tree[name]) > 64)
        ]
        content = self._content(tree, faults)
        if faults:
            raise TranslationError(faults)
        keys = {ours: tree[name] for name, ours in KEYS.items() if tree.get(name)}
        if "visit" in keys:
            keys.setdefault("encounter", keys["visit"])
        return Operation(intent, intent, self.name, kind, content=content, keys=keys, fees_whole=intent not in ADDING)

    def _content(self, tree: Mapping[str, Any], faults: list[Fault]) -> Content:
        content: Content = {}
        for name in RECORDS:
            content[name] = _record(tree.get(name), name, faults)
        for name, section in LISTS.items():
            rows = tree.get(name) or []
            if not isinstance(rows, list):
                faults.append(Fault(name, "a list of objects", type(rows).__name__))
                rows = []
            content[section] = [_record(row, f"{name}[{at}]", faults) for at, row in enumerate(rows)]
        content["env"] = _record(tree.get("operator"), "operator", faults)
        if tree.get("intent") == "confirm":
            content["ack"] = {name: str(tree[name]) for name in ("invono", "ebill_no") if tree.get(name)}
        if tree.get("visits") is not None:
            content["preadmission"] = {"visits": _visits(tree["visits"], faults)}
        if tree.get("insuplc_admdvs"):
            content["person"]["insuplc_admdvs"] = str(tree["insuplc_admdvs"])
        if tree.get("on_unknown"):
            content["x"] = {"on_unknown": tree["on_unknown"]}
        return {name: value for name, value in content.items() if value}

    def encode_reply(self, asked: Operation, outcome: Outcome) -> Frame:
        body = write_json(self.answer(asked, outcome))
        return Frame(body=body, status=200, headers=(("Content-Type", "application/json;charset=utf-8"),))

    def answer(self, asked: Operation, outcome: Outcome) -> dict[str, Any]:
        """The answer of `contracts.md` §4: amounts as texts of two places, ``setlinfo`` with Decimals."""
        result = outcome.content.get("result", {})
        about = outcome.content.get("case", {})
        answer: dict[str, Any] = {
            "settle_key": asked.keys.get("settle", ""),
            "visit_key": asked.keys.get("visit", ""),
            "encounter_key": asked.keys.get("encounter", ""),
            "state": outcome.state,
            "code": outcome.code,
            "message_zh": outcome.message_zh,
            "next": list(outcome.next),
            "setl_id": result.get("setl_id", ""),
            "mdtrt_id": outcome.content.get("visit", {}).get("mdtrt_id", ""),
            "psn_no": outcome.content.get("person", {}).get("psn_no", ""),
            "case_id": about.get("case_id", ""),
            "closed_by": about.get("closed_by") or None,
            "changed_from_quote": about.get("changed_from_quote", False),
            "amounts": {name: _money(result[name]) for name in AMOUNTS if name in result},
            "setlinfo": result,
            "setldetail": outcome.content.get("funds", []),
        }
        if asked.verb == "identify":
            answer["person"] = outcome.content.get("person", {})
            answer["insurances"] = outcome.content.get("insurances", [])
        if "void" in asked.keys:
            answer["void_key"] = asked.keys["void"]
        return answer

    def encode_request(self, operation: Operation) -> Frame:
        content = operation.content
        message: dict[str, Any] = {"intent": operation.verb, "kind": operation.kind}
        message.update({name: operation.keys[ours] for name, ours in KEYS.items() if ours in operation.keys})
        message.update({name: content[name] for name in (*RECORDS, *LISTS) if name in content})
        if "env" in content:
            message["operator"] = content["env"]
        return Frame(body=write_json(message), headers=(("Content-Type", "application/json;charset=utf-8"),))

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        try:
            tree = read_json(frame.body)
            state = tree["state"]
            result = {name: _numbered(name, value) for name, value in tree["setlinfo"].items()}
            result |= {name: number(value, 16, 2) for name, value in tree["amounts"].items()}
        except (TranslationError, KeyError, TypeError, AttributeError, MoneyError) as error:
            return Reply(Mark.UNREADABLE, text=type(error).__name__)
        mark = Mark.REFUSED if state in ("REJECTED", "NOT_SENT", "CANCELLED", "NOT_APPLIED") else Mark.OK
        return Reply(mark, tree.get("code", ""), tree.get("message_zh", ""), {"result": result})

    def settle_form(self, quoted: Operation) -> Operation:
        return quoted

    def read_frame_file(self, raw: bytes, name: str) -> Frame:
        return Frame(body=raw)

    def write_frame_file(self, frame: Frame) -> bytes:
        return frame.body


def _visits(value: object, faults: list[Fault]) -> list[Content]:
    """The outpatient visits to fold into a stay: each a key of both, or ``encounter_key`` and ``visit_key``."""
    found: list[Content] = []
    rows = value if isinstance(value, list) else [None]
    for at, row in enumerate(rows):
        said = {"encounter_key": row, "visit_key": row} if isinstance(row, str) else row
        keys = {name: said.get(name) for name in ("encounter_key", "visit_key")} if isinstance(said, dict) else {}
        named = {name: key for name, key in keys.items() if key is not None}
        if not named or not all(isinstance(key, str) and 0 < len(key) <= 64 for key in named.values()):
            faults.append(
                Fault(f"visits[{at}]", "a key, or an object of encounter_key and visit_key", type(row).__name__)
            )
            continue
        visit = {"visit": named["visit_key"]} if "visit_key" in named else {}
        found.append({"encounter": named.get("encounter_key") or named["visit_key"], **visit})
    return found


def _record(value: object, path: str, faults: list[Fault]) -> Content:
    """A record with numbers as Decimal and everything else as text; empty values are absent."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        faults.append(Fault(path, "an object", type(value).__name__))
        return {}
    record: Content = {}
    for name, item in value.items():
        if item is None or item == "":
            continue
        if isinstance(item, bool) or not isinstance(item, (str, int, Decimal)):
            faults.append(Fault(f"{path}.{name}", "a text or a number", type(item).__name__))
        elif name in NUMBERS:
            try:
                record[name] = number(item, *NUMBERS[name])
            except MoneyError as error:
                faults.append(Fault(f"{path}.{name}", f"number({NUMBERS[name][0]},{NUMBERS[name][1]})", str(error)))
        else:
            record[name] = str(item)
    return record


def _numbered(name: str, value: Any) -> Any:
    return Decimal(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def _money(value: Decimal) -> str:
    return f"{value:.2f}"
