"""Receipts (结算单) of what was settled directly: A4 and A5 by template, 241 mm continuous paper as plain text.  Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapter_core.paperwork.capitals import in_capitals
from adapter_core.paperwork.dossier import House, institution, label, patient
from adapter_core.paperwork.fee_lists import charge_types, fee_rows, money, total
from adapter_core.settlement.records import Bill, Case, Encounter
from adapter_core.settlement.states import State
from adapter_core.values.errors import Refused
from adapter_core.values.money import yuan

FORMS = ("a4", "a5", "241")
TITLES = {"outpatient": "门诊医保结算单", "inpatient": "住院医保结算单", "pharmacy": "药店购药医保结算单"}

SHARES = (
    ("inscp_scp_amt", "符合政策范围金额"),
    ("preselfpay_amt", "先行自付"),
    ("overlmt_selfpay", "超限价自费"),
    ("fulamt_ownpay_amt", "全自费"),
    ("act_pay_dedc", "本次起付线"),
)
PAID = (
    ("fund_pay_sumamt", "基金支付合计"),
    ("acct_pay", "个人账户支付"),
    ("acct_mulaid_pay", "账户共济支付"),
    ("hosp_part_amt", "医院负担"),
    ("psn_cash_pay", "个人现金支付"),
    ("balc", "账户余额"),
)
COLUMNS = 80
"""Characters in a line of 241 mm paper at ten to the inch; a Chinese character takes two."""


def receipt(
    house: House, case: Case, encounter: Encounter, bill: Bill, copy: int, at: str, basis: str = "", notice: str = ""
) -> dict[str, Any]:
    """Everything a receipt says.  copy: 1 is the original, every later one is a reprint (补打); at: printed when (China).

    basis: the rule a direct settlement rests on, as the site has it; notice: 告知书 for chronic-disease patients, where supplied.
    Raises: Refused NOT_SETTLED.
    """
    if case.purpose != "settle" or case.state is not State.SETTLED:
        raise Refused(f"state {case.state}", code="NOT_SETTLED", message_zh="只有已结算成功的业务可以打印结算单")
    result: Mapping[str, Any] = bill.content["settled"]
    settle = {**encounter.content.get("insurance", {}), **bill.content.get("settle", {})}
    med_type = str(result.get("med_type") or settle.get("med_type", ""))
    visit = encounter.content.get("visit", {})
    sum_total, cash = money(result["medfee_sumamt"]), money(result.get("psn_cash_pay", 0))
    return {
        "form": "receipt",
        "title": TITLES[case.kind],
        "environment": house.environment,
        "institution": institution(house),
        "patient": patient(encounter.content, {**settle, **{k: v for k, v in result.items() if k == "insutype"}}),
        "setl_id": case.setl_id,
        "mdtrt_id": str(result.get("mdtrt_id") or encounter.mdtrt_id or visit.get("mdtrt_id", "")),
        "settled_at": str(result.get("setl_time", "")),
        "med_type": label("med_type", med_type),
        "number": str(visit.get("ipt_otp_no", "")),
        "department": str(visit.get("dept_name", "")),
        "period": [str(visit.get("begntime", "")), str(visit.get("endtime", ""))],
        "invoice": str(settle.get("invono", "")),
        "total": sum_total,
        "total_capitals": in_capitals(yuan(sum_total)),
        "cash": cash,
        "cash_capitals": in_capitals(yuan(cash)),
        "shares": _amounts(result, SHARES),
        "paid": _amounts(result, PAID),
        "funds": [_fund(row) for row in bill.content.get("funds", [])],
        "charge_types": charge_types(fee_rows(bill.content)),
        "lines_total": total(fee_rows(bill.content)),
        "basis": basis,
        "notice": notice if med_type.startswith("14") else "",
        "copy": str(copy),
        "printed_at": at,
        "operator": str(encounter.content.get("env", {}).get("opter_name", "")),
    }


def _amounts(result: Mapping[str, Any], fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    """Only what the centre returned: an absent amount is not a zero."""
    return [{"name": zh, "amount": money(result[name])} for name, zh in fields if result.get(name) is not None]


def _fund(row: Mapping[str, Any]) -> dict[str, str]:
    """A fund line under the place of insurance's own name."""
    kind = str(row.get("fund_pay_type", ""))
    return {
        "name": str(row.get("fund_pay_type_name") or label("fund_pay_type", kind)),
        "amount": money(row.get("fund_payamt", Decimal(0))),
    }


def dot_matrix(data: Mapping[str, Any]) -> str:
    """A receipt as lines of at most 80 columns, for a dot-matrix printer on 241 mm paper; ends with a form feed."""
    hospital, person = data["institution"], data["patient"]
    head = data["title"] + (f"（补打第{int(data['copy']) - 1}次）" if data["copy"] != "1" else "")
    rows = [
        _centred(hospital["name"]),
        _centred(head),
        *([_centred("【测试环境打印，无效】")] if data["environment"] != "production" else []),
        _pair(f"姓名：{person['psn_name']}", f"人员编号：{person['psn_no']}"),
        _pair(f"险种：{person['insutype']}", f"医疗类别：{data['med_type']}"),
        _pair(f"结算ID：{data['setl_id']}", f"就诊ID：{data['mdtrt_id']}"),
        _pair(f"结算时间：{data['settled_at']}", f"票据号：{data['invoice']}"),
        "-" * COLUMNS,
        *_columns([(row["class"], row["amount"]) for row in data["charge_types"]]),
        "-" * COLUMNS,
        _fit(f"费用总额：{data['total']}  （大写）{data['total_capitals']}"),
        *_columns([(row["name"], row["amount"]) for row in data["shares"]]),
        *_columns([(row["name"], row["amount"]) for row in data["funds"]]),
        *_columns([(row["name"], row["amount"]) for row in data["paid"]]),
        _fit(f"现金：{data['cash']}  （大写）{data['cash_capitals']}"),
        "-" * COLUMNS,
        *([_fit(f"依据：{data['basis']}")] if data["basis"] else []),
        _pair(f"收费员：{data['operator']}", f"打印时间：{data['printed_at']}"),
        _pair("患者签字：", "收费专用章："),
    ]
    return "\r\n".join(line for row in rows for line in row.split("\n")) + "\r\n\f"


def width(text: str) -> int:
    """Columns a text takes: wide characters two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WFA" else 1 for one in text)


def _fit(text: str) -> str:
    """A text broken into lines that fit."""
    lines, line = [], ""
    for one in text:
        if width(line + one) > COLUMNS:
            lines.append(line)
            line = ""
        line += one
    return "\n".join([*lines, line])


def _centred(text: str) -> str:
    return " " * max(0, (COLUMNS - width(text)) // 2) + text


def _pair(left: str, right: str) -> str:
    """Two texts side by side, or below one another where they don't fit."""
    half = COLUMNS // 2
    if width(left) >= half or width(right) > half:
        return f"{_fit(left)}\n{_fit(right)}"
    return left + " " * (half - width(left)) + right


def _columns(cells: list[tuple[str, str]]) -> list[str]:
    """Names with amounts, two to a line, amounts flush right in their half."""
    half = COLUMNS // 2
    shown = []
    for name, amount in cells:
        gap = half - 2 - width(name) - width(amount)
        shown.append(f"{name}{' ' * gap}{amount}  " if gap > 0 else "")
    if not all(shown):
        return [_fit(f"{name} {amount}") for name, amount in cells]
    return ["".join(shown[at : at + 2]).rstrip() for at in range(0, len(shown), 2)]
