"""Absorbing: what a message adds to its encounter and its open bill.  Pure.

Nothing from the HIS reaches ``trial``, ``settled`` or ``result``: those only a centre tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from adapter_core.province.messages import Operation
from adapter_core.settlement.amounts import total_of
from adapter_core.settlement.preadmission import locked, with_folded
from adapter_core.settlement.records import Bill, Encounter
from adapter_core.values.content import Content, with_plain_numbers
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError

CREDENTIALS = frozenset({"card_sn", "hcard_basinfo", "hcard_chkinfo", "ectoken", "cainfo"})
"""Never compared, never hashed: a repeat may come with a fresh one.  ``mdtrt_cert_no`` is one only for an electronic
credential: of an identity card or a card it names the person."""
ELECTRONIC, IDENTITY_CARD = "01", "02"
"""``mdtrt_cert_type``."""


_SORTED = msgspec.json.Encoder(order="sorted")


def content_hash(value: object) -> str:
    """SHA-256 hex of canonical content: sorted keys, decimals as plain text: equal content gives equal bytes."""
    return hashlib.sha256(_SORTED.encode(with_plain_numbers(value))).hexdigest()


def request_hash(operation: Operation) -> str:
    """Hash of the business content: not the operator, not the device, never a credential."""
    content = {name: value for name, value in operation.content.items() if name not in ("env", "x", "result", "relay")}
    if "person" in content:
        fresh = CREDENTIALS | ({"mdtrt_cert_no"} if content["person"].get("mdtrt_cert_type") == ELECTRONIC else set())
        content["person"] = {name: value for name, value in content["person"].items() if name not in fresh}
    return content_hash({"kind": operation.kind, "content": content})


def asked_hash(operation: Operation, hashed: str = "") -> str:
    """Hash of what was asked, verb included where it changes what happens.  hashed: its request hash, where that is known."""
    return f"{operation.verb}:{hashed or request_hash(operation)}"


def operation_data(operation: Operation) -> dict[str, object]:
    """An operation as the journal keeps it."""
    return {
        "verb": operation.verb,
        "message": operation.message,
        "dialect": operation.dialect,
        "kind": operation.kind,
        "content": operation.content,
        "refs": dict(operation.refs),
        "keys": dict(operation.keys),
        "echo": dict(operation.echo),
    }


def absorb(
    encounter: Encounter, bill: Bill, operation: Operation, defaults: Mapping[str, str], now: str
) -> tuple[Encounter, Bill]:
    """Both records with the message's content in them, ready for the plan (versions untouched).

    Raises: Refused PERSON_DIFFERS.
    """
    said = operation.content
    person = {**encounter.content.get("person", {}), **said.get("person", {})}
    _same_person(encounter.content.get("person", {}), said.get("person", {}))
    said_rows = {name: said.get(name, []) for name in ("fees", "diagnoses")}
    filled = _with_defaults(
        {
            "visit": {**encounter.content.get("visit", {}), **said.get("visit", {})},
            "settle": {**bill.content.get("settle", {}), **said.get("settle", {})},
            "env": {**encounter.content.get("env", {}), **said.get("env", {})},
            **said_rows,
        },
        defaults,
    )
    begun = filled["visit"].get("begntime", now)
    for row in filled["fees"]:
        row.setdefault("fee_ocur_time", begun)  # single families' lines name no time: it is the visit's
    fees = _merged_fees(bill, filled["fees"], operation.fees_whole)
    visit, settle = filled["visit"], filled["settle"]
    _complete_visit(visit, fees, encounter, now)
    if fees:
        settle["medfee_sumamt"] = total_of(fees)
    content = {**encounter.content, "person": person, "visit": visit, "env": filled["env"]}
    bill_content = {
        **bill.content,
        "settle": settle,
        "fees": fees,
        "diagnoses": filled["diagnoses"] or bill.content.get("diagnoses", []),
        "bill": {"chrg_bchno": bill.chrg_bchno},
        **({"relay": said["relay"]} if "relay" in said else {}),
    }
    return replace(encounter, content=content), replace(bill, content=bill_content)


def _same_person(known: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    by_card = known.get("mdtrt_cert_type") == said.get("mdtrt_cert_type") == IDENTITY_CARD
    for field in ("psn_no", "certno", *(["mdtrt_cert_no"] if by_card else [])):
        if known.get(field) and said.get(field) and known[field] != said[field]:
            raise Refused(
                f"{field} differs from this encounter's person",
                code="PERSON_DIFFERS",
                message_zh="人员信息与本次就诊登记的患者不一致，未发送，请核对患者身份",
            )


def _merged_fees(bill: Bill, said: Sequence[Mapping[str, Any]], whole: bool) -> list[Content]:
    """The bill's lines after this message; lines without a number of their own get one that the same line keeps."""
    known: list[Content] = list(bill.content.get("fees", []))
    if not said:
        return known
    rows = [dict(row) for row in said]
    kept = with_folded(bill, _numbered(bill, rows, known))
    if whole:
        return kept
    by_number = {row["feedetl_sn"]: row for row in known}
    by_number.update((row["feedetl_sn"], row) for row in kept)
    return list(by_number.values())


def _numbered(bill: Bill, rows: list[Content], known: list[Content]) -> list[Content]:
    free: dict[str, list[str]] = {}
    chrg_bchno, theirs = bill.chrg_bchno, locked(bill)
    for row in known:
        if row["feedetl_sn"] not in theirs:  # a line that came from an outpatient visit is never one without a number
            free.setdefault(_line_hash(row), []).append(row["feedetl_sn"])
    used = {row["feedetl_sn"] for row in known} | {row["feedetl_sn"] for row in rows if "feedetl_sn" in row}
    number = 0
    for row in rows:
        if "feedetl_sn" in row:
            continue
        same = free.get(_line_hash(row))
        if same:
            row["feedetl_sn"] = same.pop(0)
            continue
        number += 1
        while f"{chrg_bchno}{number:04}" in used:
            number += 1
        row["feedetl_sn"] = f"{chrg_bchno}{number:04}"
        used.add(row["feedetl_sn"])
    return rows


def _line_hash(row: Mapping[str, Any]) -> str:
    return content_hash({name: value for name, value in row.items() if name != "feedetl_sn"})


def _with_defaults(content: dict[str, Any], defaults: Mapping[str, str]) -> dict[str, Any]:
    filled = {
        "visit": dict(content["visit"]),
        "settle": dict(content["settle"]),
        "env": dict(content["env"]),
        "fees": [dict(row) for row in content["fees"]],
        "diagnoses": [dict(row) for row in content["diagnoses"]],
    }
    for path, value in defaults.items():
        section, _, field = path.partition(".")
        rows: Any = filled[section.removesuffix("[]")]
        for row in rows if isinstance(rows, list) else [rows]:
            row.setdefault(field, value)
    return filled


def _complete_visit(visit: Content, fees: Sequence[Mapping[str, Any]], encounter: Encounter, now: str) -> None:
    """What many local messages say only on their lines: the visit's doctor and department are the first line's."""
    # by this number a registration in doubt is found again: two long keys must not become one number
    key = encounter.encounter_key
    visit.setdefault("ipt_otp_no", visit.get("ipt_no") or (key if len(key) <= 30 else content_hash(key)[:30]))
    if encounter.kind == "inpatient":
        visit.setdefault("ipt_no", visit["ipt_otp_no"])
    first = fees[0] if fees else {}
    visit.setdefault("begntime", first.get("fee_ocur_time", now))
    for field, line_field in (
        ("atddr_no", "bilg_dr_codg"),
        ("dr_name", "bilg_dr_name"),
        ("dept_code", "bilg_dept_codg"),
        ("dept_name", "bilg_dept_name"),
    ):
        if line_field in first:
            visit.setdefault(field, first[line_field])


def refuse_faults(operation: Operation, bill: Bill, others: Sequence[Fault]) -> None:
    """Refuse a message with all its faults at once: a claimed total that is not the sum of the bill's lines, and the others.

    bill: with the message absorbed.  Raises: TranslationError.
    """
    claimed = operation.content.get("settle", {}).get("medfee_sumamt")
    total = bill.content["settle"].get("medfee_sumamt")
    if claimed is None or Decimal(claimed) == total:
        if others:
            raise TranslationError(others)
        return
    differs = Fault("settle.medfee_sumamt", f"the sum of the bill's lines, {total}", str(claimed), "医疗费总额")
    raise TranslationError(
        [differs, *others],
        code="TOTAL_DIFFERS",
        message_zh=f"费用合计不符：明细合计 {total} 元，上传总额 {claimed} 元，未发送，请核对后重试",
    )
