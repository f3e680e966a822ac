"""What a settlement or a refund that stands puts into the books (`reliability.md` §10): pure, from what the centre told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from adapter_core.province.schemes import Trip, serving
from adapter_core.settlement.amounts import amounts
from adapter_core.settlement.calls import Context
from adapter_core.settlement.records import Case, Entry
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.moments import national_time, parse_national_time
from adapter_core.values.money import fen

LOCAL = "local"
"""The scheme of somebody insured in the province of care."""
NO_SCHEME = "unlisted"
CLR_TYPE_OF = {"outpatient": "11", "inpatient": "21", "pharmacy": "41"}
"""清算类别 by flow, where the centre's reply has none: the dictionary ``clr_type``."""
VERSION = "entry_version"
"""In a case's data: how often it was written into the books."""


def booked(context: Context, case: Case, result: Mapping[str, Any], msgid: str, at: datetime) -> tuple[Case, Entry]:
    """The case and its line of the books.

    context: with the bill as it is closed; case: SETTLED or VOIDED, with its amounts; result: the centre's own; at: now.
    """
    version = int(case.data.get(VERSION, 0)) + 1
    known = {**context.bill.content.get("settled", {}), **_said(result)} if case.purpose == "void" else _said(result)
    settle = context.bill.content.get("settle", {})
    setl_time = _time_of(result.get("setl_time"), at)
    signed = _signed(case, result)
    entry = Entry(
        entry_id=case.case_id,
        org=case.org,
        case_id=case.case_id,
        entry=case.purpose,
        business_day=setl_time[:10],
        setl_time=setl_time,
        booked_at=case.changed_at,
        setl_id=case.setl_id,
        original_setl_id=_original(context) if case.purpose == "void" else "",
        mdtrt_id=context.encounter.mdtrt_id
        or str(known.get("mdtrt_id", "")),  # a sale is registered by its own settlement
        msgid=str(result.get("medins_setl_id") or msgid),
        insutype=str(known.get("insutype") or settle.get("insutype", "")),
        clr_type=str(known.get("clr_type") or CLR_TYPE_OF.get(case.kind, "")),
        clr_way=str(known.get("clr_way") or ""),
        clr_optins=str(known.get("clr_optins") or ""),
        med_type=str(known.get("med_type") or settle.get("med_type", "")),
        kind=case.kind,
        insuplc_admdvs=case.insuplc_admdvs or _place_of_insurance(context),
        scheme=_scheme(context, case.insuplc_admdvs or _place_of_insurance(context), case.kind, setl_time[:10]),
        total_fen=signed["total_fen"],
        fund_fen=signed["fund_fen"],
        account_fen=signed["account_fen"],
        acct_pay_fen=signed["acct_pay_fen"],
        cash_fen=signed["cash_fen"],
        operator=str(context.encounter.content.get("env", {}).get("opter", "")),
        terminal=str(context.encounter.content.get("env", {}).get("dev_no", "")),
        version=version,
        way=context.place.way,
    )
    return replace(case, data={**case.data, VERSION: version}), entry


def withdrawn(entries: list[Entry]) -> tuple[Entry, ...]:
    """The lines taken out of the books: a decision found that nothing stands."""
    return tuple(replace(entry, stands=False, version=entry.version + 1) for entry in entries if entry.stands)


def _said(result: Mapping[str, Any]) -> Content:
    # a Decimal that is asked whether it equals a text looks through all kinds of numbers first
    return {name: value for name, value in result.items() if type(value) is Decimal or value not in (None, "")}


def _original(context: Context) -> str:
    return str(context.bill.content.get("settled", {}).get("setl_id", ""))


def _place_of_insurance(context: Context) -> str:
    return str(context.encounter.content.get("person", {}).get("insuplc_admdvs", ""))


def _signed(case: Case, result: Mapping[str, Any]) -> dict[str, int]:
    """A refund's amounts are negative in the books, however the centre writes them."""
    names = ("total_fen", "fund_fen", "account_fen", "cash_fen")
    fens = {name: int(getattr(case, name) or 0) for name in names}
    fens["acct_pay_fen"] = fen(amounts(result).account)
    turns = case.purpose == "void" and fens["total_fen"] > 0
    return {name: -count for name, count in fens.items()} if turns else fens


def _time_of(told: Any, at: datetime) -> str:
    """The centre's own settlement time, or ours where it told none that can be read."""
    text = str(told or "")
    try:
        return national_time(parse_national_time(text))
    except ValueError:
        return national_time(at)


def _scheme(context: Context, insured: str, kind: str, day: str) -> str:
    site = context.place.site
    if not insured or insured[:2] == site.admdvs[:2]:
        return LOCAL
    found = serving(Trip(insured, site.admdvs, kind, day, site.fixmedins_code)).scheme
    return found.name if found else NO_SCHEME
