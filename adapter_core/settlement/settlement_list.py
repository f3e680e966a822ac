"""The settlement list (医保结算清单, 4101 and 4101A): built from what the ledger knows of a settled case and the HIS's medical record.

Every fault at once.  Amounts and identities are the ledger's: a HIS that says them otherwise is refused, never believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.province.gateway import Site
from adapter_core.settlement.records import Bill, Case, Encounter
from adapter_core.standard.codec import codec
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.money import CENT, MoneyError, yuan

HEAD, FUNDS, ITEMS, DIAGNOSES, OPERATIONS = "setlinfo", "payinfo", "iteminfo", "diseinfo", "oprninfo"
OTHER_NAMES: Mapping[str, tuple[str, str]] = {
    "patn_cert_type": ("person", "psn_cert_type"),
    "hi_type": ("settle", "insutype"),
    "insuplc": ("person", "insuplc_admdvs"),
    "adm_time": ("visit", "begntime"),
    "dscg_time": ("visit", "endtime"),
    "setl_begn_date": ("visit", "begntime"),
    "setl_end_date": ("settled", "setl_time"),
    "psn_cashpay": ("settled", "psn_cash_pay"),
}
"""Fields of the list that the ledger knows under another name; all others are taken where a field of the same name stands."""
SECTIONS = ("settled", "settle", "visit", "person")
OURS = frozenset(
    {
        "mdtrt_id",
        "setl_id",
        "psn_no",
        "fixmedins_code",
        "fixmedins_name",
        "acct_pay",
        "psn_cashpay",
        "certno",
        "insuplc",
    }
)
"""What the HIS may repeat and not change."""
DAY = len("2026-11-21")
CLASSES = {"01": "claa_sumfee", "02": "clab_amt", "03": "fulamt_ownpay_amt"}
"""``chrgitm_lv`` of a line and the column its amount goes into; any other goes into ``oth_amt``.  Source: dictionary chrgitm_lv
(01 甲类, 02 乙类, 03 丙类, single source) and 4101's own field names."""
COLUMNS = (*CLASSES.values(), "oth_amt")


def build_list(
    infno: str, site: Site, case: Case, encounter: Encounter, bill: Bill, said: Mapping[str, Any]
) -> Content:
    """The input nodes of the list.

    said: the HIS's nodes as the standard names them (``setlinfo``, ``oprninfo``, ``icuinfo`` …), as far as it has them.
    Raises: TranslationError with every fault.
    """
    faults: list[Fault] = []
    known = _known(infno, site, case, encounter, bill)
    nodes: Content = {}
    for node in transaction(infno).input:
        theirs = said.get(node.name)
        if node.repeat:
            rows = _rows(node.name, theirs, known, faults)
            if rows:
                nodes[node.name] = rows
        else:
            nodes[node.name] = _record(node.name, theirs, known.get(node.name, {}), faults)
    names = {node.name for node in transaction(infno).input}
    faults += [Fault(name, "、".join(sorted(names)), "没有这个节点") for name in said if name not in names]
    _count(nodes, transaction(infno).node("input", HEAD))
    faults += _sum_faults(nodes, case)
    faults += [replace(one, path=one.path.removeprefix("input.")) for one in codec(infno).read_input(nodes).faults]
    if faults:
        raise TranslationError(faults, code="LIST_INCOMPLETE", message_zh="结算清单不完整或与结算不符，未上传，请补正")
    return nodes


def _known(infno: str, site: Site, case: Case, encounter: Encounter, bill: Bill) -> dict[str, Any]:
    """Node → what the ledger says of it."""
    content = {**encounter.content, **bill.content}
    head: dict[str, Any] = {}
    described = transaction(infno).node("input", HEAD)
    for one in described.fields if described else ():
        section, name = OTHER_NAMES.get(one.code, ("", one.code))
        places = (section,) if section else SECTIONS
        value = next(
            (content[place][name] for place in places if content.get(place, {}).get(name) not in (None, "")), None
        )
        if value is not None:
            head[one.code] = str(value)[:DAY] if one.type == "date" else value
    own = {
        "fixmedins_code": site.fixmedins_code, "fixmedins_name": site.fixmedins_name, "setl_id": case.setl_id,
        "mdtrt_id": encounter.mdtrt_id or head.get("mdtrt_id", ""),
    }  # fmt: skip
    listed = {one.code for one in described.fields} if described else set()
    head.update((name, value) for name, value in own.items() if name in listed)
    funds = [{name: row.get(name) for name in ("fund_pay_type", "fund_payamt")} for row in content.get("funds", [])]
    named = [one.code for node in transaction(infno).input if node.name == DIAGNOSES for one in node.fields]
    diagnoses = [{name: row[name] for name in named if name in row} for row in content.get("diagnoses", [])]
    return {HEAD: head, FUNDS: funds, DIAGNOSES: diagnoses, ITEMS: item_rows(content.get("lines", []))}


def item_rows(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The bill's lines as the centre split them, summed by kind of charge."""
    sums: dict[str, dict[str, Decimal]] = {}
    for line in lines:
        amount = Decimal(line.get("det_item_fee_sumamt", 0))
        row = sums.setdefault(str(line.get("med_chrgitm_type", "")), dict.fromkeys(("amt", *COLUMNS), Decimal(0)))
        row["amt"] += amount
        row[CLASSES.get(str(line.get("chrgitm_lv", "")), "oth_amt")] += amount
    return [
        {"med_chrgitm": kind, **{name: value.quantize(CENT) for name, value in row.items()}}
        for kind, row in sorted(sums.items())
    ]


def _record(node: str, theirs: Any, ours: Mapping[str, Any], faults: list[Fault]) -> Content:
    if theirs is not None and not isinstance(theirs, Mapping):
        faults.append(Fault(node, "一个对象", type(theirs).__name__))
        return dict(ours)
    given = {name: value for name, value in (theirs or {}).items() if value not in (None, "")}
    for name in sorted(OURS & given.keys() & ours.keys()):
        if not _same(given[name], ours[name]):
            faults.append(Fault(f"{node}.{name}", "与结算相同的值", "另一个值"))
    return {**given, **{name: value for name, value in ours.items() if name in OURS or name not in given}}


def _rows(node: str, theirs: Any, known: Mapping[str, Any], faults: list[Fault]) -> list[Any]:
    """The HIS's rows where it says any, else the ledger's; what the funds paid is the ledger's alone."""
    ours: list[Any] = known.get(node, [])
    if theirs is None:
        return ours
    if not isinstance(theirs, list) or not all(isinstance(row, Mapping) for row in theirs):
        faults.append(Fault(node, "对象的列表", type(theirs).__name__))
        return ours
    if node == FUNDS and _paid(theirs) != _paid(ours):
        faults.append(Fault(node, "与结算相同的基金支付", "另外的基金支付"))
        return ours
    return theirs


def _paid(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return sorted((str(row.get("fund_pay_type", "")), _plain(row.get("fund_payamt"))) for row in rows)


def _plain(value: Any) -> str:
    try:
        return format(yuan(value if isinstance(value, (Decimal, int)) else str(value)), "f")
    except MoneyError:
        return str(value)


def _same(one: Any, other: Any) -> bool:
    return str(one) == str(other) or _plain(one) == _plain(other)


def _count(nodes: Content, head: Any) -> None:
    """The counts of codes, where the list has them and nobody said them."""
    listed = {one.code for one in head.fields} if head else set()
    for name, node in (("diag_code_cnt", DIAGNOSES), ("oprn_oprt_code_cnt", OPERATIONS)):
        if name in listed:
            nodes[HEAD].setdefault(name, len(nodes.get(node, [])))


def _sum_faults(nodes: Content, case: Case) -> list[Fault]:
    """The items of charge must make up the bill, and each its own classes."""
    faults = []
    whole = Decimal(0)
    for number, row in enumerate(nodes.get(ITEMS, [])):
        try:
            amount, *parts = (yuan(str(row.get(name) or 0)) for name in ("amt", *COLUMNS))
        except MoneyError:
            continue  # the standard's own table names it
        whole += amount
        if sum(parts, Decimal(0)) != amount:
            faults.append(
                Fault(
                    f"{ITEMS}[{number}].amt",
                    f"甲类、乙类、自费、其他之和 {sum(parts, Decimal(0))}",
                    str(amount),
                    "金额",
                )
            )
    if nodes.get(ITEMS) and case.total_fen is not None and whole * 100 != case.total_fen:
        faults.append(
            Fault(f"{ITEMS}.amt", f"合计为医疗费总额 {Decimal(case.total_fen) / 100:.2f}", str(whole), "金额")
        )
    return faults
