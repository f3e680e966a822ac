"""Zhejiang's two legacy dialects: Insigma's ``$$ ~ %%`` and the older SiInterface pipe text.  The tables say nearly everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from adapter_core.formats.tables import FieldTable, load_table
from adapter_core.province.messages import Mark, Operation, Reply
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks, TableDialect
from adapter_core.values.content import Content
from adapter_core.values.frames import Frame

CHECKS = ((9, "未参保"), (8, "卡已锁定"), (7, "卡需要更新"), (1, "黑名单"), (2, "卡冻结"), (6, "需要圈存"),
          (5, "住院冻结"), (3, "账户冻结"), (4, "账户冻结"))  # fmt: skip
"""The check flags after a card was read, by position from 1, in the order in which clients judge them.  Source: provinces' public
client code; a flag that isn't 0 stops the visit."""
FOLDED = {"hifob_pay": "hifmi_pay", "hifes_pay": "oth_pay"}
"""Amounts without a place of their own, and the national amount they are told with."""
QUERY_FOUND = "43"
FROM_SLIPS = ("bilg_dept_codg", "bilg_dept_name", "bilg_dr_codg", "fee_ocur_time", "rxno")
ADDED = frozenset(["x.slips", "diagnoses.diag_type", "diagnoses.diag_srt_no", *(f"fees.{name}" for name in FROM_SLIPS)])
"""What the hooks add to what a message says."""


@cache
def table_text(name: str) -> str:
    """The TOML of ``insigma``, ``siinterface`` or one of their routes."""
    return (files("his_adapter_zhejiang") / "tables" / f"{name}.toml").read_text("utf-8")


def insigma(options: Options) -> TableDialect:
    """The BargaingApply dialect for one site.

    Options: those of the table's ``[options]``, ``codes.med_type.<local>``, ``layout.card = "v3"``, ``layout.amounts = "second"``;
    ``layout.card`` also cuts the card data of requests.  Raises: ConfigError.
    """
    return TableDialect(insigma_table(options), insigma_hooks())


def insigma_table(options: Options) -> FieldTable:
    """The table for one site.  Raises: ConfigError."""
    both = {"layout.card_sent": options["layout.card"]} if "layout.card" in options else {}
    return load_table(table_text("insigma"), "insigma.toml", {**options, **both})


def insigma_hooks() -> Hooks:
    """A local slip (单据) is a diagnosis and the department, doctor and date of its lines; the family account is counted beside the
    account here and inside it nationally."""

    def after_decode(message: str, side: str, sections: Content) -> Content:
        if side == "ask" and message in ("29", "30"):
            return _from_slips(sections)
        return _account_inside(sections, 1) if side == "tell" else sections

    def before_encode(message: str, side: str, sections: Content) -> Content:
        if side == "ask" and message in ("29", "30"):
            return _to_slips(sections)
        if side == "tell" and "result" in sections:
            return _account_inside(_folded(sections), -1)
        return sections

    return Hooks(after_decode, before_encode, ADDED)


def _account_inside(sections: Content, sign: int) -> Content:
    result = sections.get("result", {})
    shared = result.get("acct_mulaid_pay")
    if shared and "acct_pay" in result:
        result["acct_pay"] += sign * shared
    return sections


def _folded(sections: Content) -> Content:
    result = sections["result"]
    for name, home in FOLDED.items():
        amount = result.pop(name, None)
        if amount:
            result[home] = result.get(home, Decimal("0.00")) + amount
    return sections


def _from_slips(sections: Content) -> Content:
    slips = sections.pop("diagnoses", [])
    sections.setdefault("x", {})["slips"] = slips
    by_number = {slip.get("x", {}).get("0", ""): slip for slip in slips}
    for fee in sections.get("fees", []):
        slip = by_number.get(fee.get("x", {}).get("0", ""), {})
        kept = slip.get("x", {})
        said = (slip.get("diag_dept"), kept.get("6"), slip.get("dise_dor_no"), slip.get("diag_time"), kept.get("2"))
        fee.update({name: value for name, value in zip(FROM_SLIPS, said, strict=True) if value})
    diagnoses: list[Content] = []
    for slip in slips:
        if slip.get("diag_code") and all(slip["diag_code"] != one["diag_code"] for one in diagnoses):
            number = Decimal(len(diagnoses) + 1)
            named = {name: value for name, value in slip.items() if name != "x"}
            diagnoses.append({**named, "diag_type": "1", "diag_srt_no": number})
    if diagnoses:
        sections["diagnoses"] = diagnoses
    return sections


def _to_slips(sections: Content) -> Content:
    """The slips as they came; for lines from elsewhere one slip for each prescription, doctor and department."""
    slips = sections.get("x", {}).get("slips")
    fees = [{**fee, "med_list_codg": fee.get("medins_list_codg")} for fee in sections.get("fees", [])]
    if slips is None:
        slips, fees = _made_slips(fees, sections)
        sections["x"] = {**sections.get("x", {}), "slip_count": str(len(slips))}
    return {**sections, "diagnoses": slips, "fees": fees}


def _made_slips(fees: list[Content], sections: Mapping[str, Any]) -> tuple[list[Content], list[Content]]:
    bill = str(sections.get("bill", {}).get("chrg_bchno", "")) or "1"
    main: Content = next(iter(sections.get("diagnoses", [])), {})
    slips: dict[tuple[Any, ...], Content] = {}
    numbered = []
    for fee in fees:
        key = tuple(fee.get(name) for name in ("rxno", "bilg_dr_codg", "bilg_dept_codg"))
        number = f"{bill}-{list(slips).index(key) + 1 if key in slips else len(slips) + 1}"
        numbered.append({**fee, "x": {**fee.get("x", {}), "0": number}})
        if key in slips:
            continue
        said = {
            "diag_time": fee.get("fee_ocur_time"),
            "diag_dept": fee.get("bilg_dept_codg"),
            "dise_dor_no": fee.get("bilg_dr_codg"),
            "diag_code": main.get("diag_code"),
            "diag_name": main.get("diag_name"),
        }
        kept = {"0": number, "2": fee.get("rxno"), "6": fee.get("bilg_dept_name")}
        slips[key] = {
            **{name: value for name, value in said.items() if value},
            "x": {place: text for place, text in kept.items() if text},
        }
    return list(slips.values()), numbered


class InsigmaCentre(TableDialect):
    """The dialect as it calls a centre: what the reply means beyond its cells."""

    def __init__(self, table: FieldTable) -> None:
        super().__init__(table, insigma_hooks())

    def encode_request(self, operation: Operation) -> Frame:
        """Raises: as TableDialect."""
        day = operation.content.get("env", {}).get("sign_no")
        hospital = operation.content.get("env", {}).get("fixmedins_code", "")
        said = {"hospital": hospital, **({"day": day} if day else {}), **operation.echo}
        visit = operation.content.get("visit", {}).get("ipt_otp_no")
        refs = {**({"visit": visit} if visit else {}), **operation.refs}
        return super().encode_request(replace(operation, echo=said, refs=refs))

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """As TableDialect; a card that fails its checks is a refusal, and a settlement's own number is its ``setl_id``."""
        reply = super().decode_reply(asked, frame)
        if reply.mark is not Mark.OK:
            return reply
        refused = _failed_check(str(reply.content.get("x", {}).get("checks", "")))
        if refused:
            return Reply(Mark.REFUSED, "card", refused)
        content = dict(reply.content)
        if "day" in reply.refs:
            content["env"] = {**content.get("env", {}), "sign_no": reply.refs["day"]}
        number = reply.refs.get("refund") or reply.refs.get("receipt")
        if number and "result" in content:
            content["result"] = {**content["result"], "setl_id": number, **_queried(asked)}
        return replace(reply, content=content)


def _queried(asked: Operation) -> dict[str, str]:
    """A query names the call it asks about, so what it finds is that call's settlement."""
    return {"medins_setl_id": asked.refs["queried"]} if asked.message == QUERY_FOUND and "queried" in asked.refs else {}


def _failed_check(flags: str) -> str:
    for position, meaning in CHECKS:
        if flags[position - 1 : position] not in ("", "0"):
            return f"读卡检查：{meaning}（第 {position} 位）"
    return ""
