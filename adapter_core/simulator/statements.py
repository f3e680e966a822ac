"""Files and detailed statements: 9101 takes a file, 3202 compares it with the centre's own records, 9102 gives the result.

The result lists every record this centre holds of the period, one line each, as `schemas/national/files/3202.json` names the columns;
what only the hospital listed is no record of the centre's, so it has no line.  No public source shows a real file: ours is a zip of one
text file, tabs between cells, no heading, UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

from adapter_core.simulator.queries import BALANCED, REFUNDED, SETTLED, UNBALANCED, period
from adapter_core.simulator.records import Answer, Ask, Asked, Refund, Refusal, Settlement
from adapter_core.simulator.settling import CLR_TYPE
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import national_time
from adapter_core.values.money import MoneyError, yuan

UPLOADED = ("setl_id", "mdtrt_id", "psn_no", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "refd_setl_flag")
KEPT_DAYS = 7
GONE = frozenset({"reversed", "prepared", "undone"})
FILE = "file"

Row = tuple[str, Decimal, Decimal, Decimal]


def upload(world: World, asked: Asked) -> Content:
    """9101: the file lies in ``in`` as base64, or as a list of byte values."""
    data = asked.record("fsUploadIn")
    name = data.need("filename")
    number = world.identity("W")
    world.files[number] = (name, _bytes_of(data))
    until = national_time(world.clock.wall() + timedelta(days=KEPT_DAYS))
    told = {"file_qury_no": number, "filename": name, "fixmedins_code": asked.fixmedins_code, "dld_endtime": until}
    return {"data": told}


def _bytes_of(data: Ask) -> bytes:
    said = data.fields.get("in")
    try:
        if isinstance(said, list):
            return bytes(int(one) for one in said)
        return base64.b64decode(str(said), validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise Refusal("field_bad", code="in") from None


def download(world: World, asked: Asked) -> Content:
    """9102: the bytes themselves; the door sends them as they are."""
    data = asked.record("fsDownloadIn")
    found = world.files.get(data.need("file_qury_no"))
    if found is None:
        raise Refusal("file_unknown")
    return {"data": {"filename": found[0], FILE: found[1]}}


def file_of(told: Answer) -> bytes | None:
    """The bytes of an answer that is a file."""
    data = (told.output or {}).get("data")
    found = data.get(FILE) if isinstance(data, dict) else None
    return found if isinstance(found, bytes) else None


def compare(world: World, asked: Asked) -> Content:
    """3202: the uploaded lines against the centre's records of the period."""
    data = asked.record()
    found = world.files.get(data.need("file_qury_no"))
    if found is None:
        raise Refusal("file_unknown")
    claimed = _claimed(found[1])
    lines = [_line(world, one, made, claimed) for one, made in records_between(world, asked, data)]
    number, name = world.identity("W"), f"3202-{data.need('stmt_begndate')}.zip"
    world.files[number] = (name, _zipped(name.replace(".zip", ".txt"), "\n".join(lines).encode()))
    until = national_time(world.clock.wall() + timedelta(days=KEPT_DAYS))
    return {"fileinfo": {"file_qury_no": number, "filename": name, "dld_endtime": until}}


def records_between(world: World, asked: Asked, data: Ask) -> Iterator[tuple[Settlement, Refund | None]]:
    """Every record of the institution in the period: settlements (refunded ones too), and the refunds themselves."""
    begins, ends = period(data)
    clr_type = data.get("clr_type")
    for one in world.settlements.values():
        if one.place.fixmedins_code != asked.fixmedins_code or one.state in GONE:
            continue
        if clr_type not in ("", CLR_TYPE[one.split.rule.kind]):
            continue
        if begins <= one.at < ends:
            yield one, None
        made = one.refund if one.state == "refunded" else None
        if made is not None and begins <= made.at < ends:
            yield one, made


def _claimed(raw: bytes) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for line in raw.decode("utf-8").splitlines():
        cells = dict(zip(UPLOADED, line.split("\t"), strict=False))
        if len(cells) != len(UPLOADED):
            raise Refusal("file_bad", line=len(rows) + 1)
        try:
            total, fund, account = (abs(yuan(cells[name])) for name in UPLOADED[3:6])
        except MoneyError:
            raise Refusal("file_bad", line=len(rows) + 1) from None
        rows[cells["setl_id"]] = (cells["refd_setl_flag"], total, fund, account)
    return rows


def _line(world: World, one: Settlement, made: Refund | None, claimed: dict[str, Row]) -> str:
    """Columns in the order of the standard's ``result`` table."""
    split = one.split
    setl_id, flag = (made.setl_id, REFUNDED) if made else (one.setl_id, SETTLED)
    told = (flag, split.bill.medfee_sumamt, split.fund_pay_sumamt, split.acct_pay)
    theirs = claimed.get(setl_id)
    memo = "" if theirs == told else "医疗机构无此记录" if theirs is None else "金额或标志不符"
    msgid = (made.msgid if made else one.msgid) if world.temperament.recon_carries_msgid else ""
    verdict = BALANCED if theirs == told else UNBALANCED
    sign = "-" if made else ""
    cells: list[Any] = [one.visit.psn_no, one.visit.mdtrt_id, setl_id, msgid, verdict, flag, memo]
    return "\t".join([*map(str, cells), *(f"{sign if value else ''}{value}" for value in told[1:])])


def _zipped(name: str, raw: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, raw)
    return out.getvalue()
