"""What the simulated centre publishes and keeps beside settlements: catalogues 13xx, the dictionary 1901, item mappings 3301 and 3302.

No public source shows a catalogue's file: ours is a zip of one text, tabs between cells, no heading, UTF-8, its columns those of
`publications.COLUMNS`.  Every item of it is invented.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from io import BytesIO
from typing import Any

from adapter_core.simulator.records import Asked, Refusal
from adapter_core.simulator.world import World
from adapter_core.standard.dictionaries import dictionary
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.moments import national_date

KEPT_DAYS = 7
FILES = frozenset({f"13{number:02}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15)})
PAGED = frozenset({"1304", "1312", "1316", "1317", "1318", "1319"})
BORN = "2026-01-01"
PAGE_ROWS_MAX = 50
"""This centre gives no more rows than that, whatever page_size says."""


def ticket(world: World, asked: Asked) -> Content:
    """1301 …: a file with the rows newer than ``ver``."""
    since = asked.record().need("ver")
    rows = [row for row in world.published.catalogue(asked.infno).values() if _number(row[-1]) > _number(since)]
    number, name = world.identity("W"), f"{asked.infno}_{since}.zip"
    text = "".join("\t".join(row) + "\n" for row in rows)
    world.files[number] = (name, _zipped(name.replace(".zip", ".txt"), text.encode()))
    until = national_date(world.clock.wall() + timedelta(days=KEPT_DAYS))
    told = {"file_qury_no": number, "filename": name, "dld_end_time": until, "data_cnt": len(rows)}
    return {"data": told}


def _number(version: str) -> int:
    digits = "".join(one for one in version if one.isdigit())
    return int(digits or 0)


def _zipped(name: str, raw: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, raw)
    return out.getvalue()


def page(world: World, asked: Asked) -> Content:
    """1304, 1312 …: one page of rows changed since ``updt_time``."""
    data = asked.record()
    size = min(int(data.number("page_size", 4, 0)), PAGE_ROWS_MAX)
    start = (int(data.number("page_num", 4, 0)) - 1) * size
    since = data.need("updt_time")[:10]
    rows = [row for row in world.published.catalogue(asked.infno).values() if since <= _changed_at(row)]
    fields = [one.code for one in transaction(asked.infno).output[0].fields]
    return {"data": [_record(row, fields) for row in rows[start : start + size]]}


def _changed_at(row: tuple[str, ...]) -> str:
    return f"2026-01-{min(_number(row[-1]), 28):02}"


def _record(row: tuple[str, ...], fields: Iterable[str]) -> dict[str, Any]:
    code, name, spec, valid, version = row
    known = {
        "med_list_codg": code, "hilist_code": code, "hilist_name": name, "drug_prodname": name, "drug_spec": spec,
        "vali_flag": valid, "rid": f"R{code}", "ver": version, "updt_time": _changed_at(row), "begndate": BORN, "crte_time": BORN,
        "insu_admdvs": "360100", "list_type": "101", "selfpay_prop": "0.1", "hilist_pric_uplmt_amt": "100",
    }  # fmt: skip
    return {name: known[name] for name in fields if name in known}


def dictionary_rows(world: World, asked: Asked) -> Content:
    """1901: the standard's own values of that dictionary, and one that is only this place's."""
    type_ = asked.record().need("type")
    known = dictionary(type_)
    if known is None:
        raise Refusal("field_bad", code="type")
    values: Mapping[str, str] = {**known.values, "99A": "测试地方值"}
    rows = [
        {"type": type_, "label": label, "value": value, "parentValue": "", "sort": number, "valiFlag": "1",
         "createUser": "centre", "createDate": BORN, "version": 1}
        for number, (value, label) in enumerate(values.items(), start=1)
    ]  # fmt: skip
    return {"list": rows}


def map_items(world: World, asked: Asked) -> None:
    """3301: the whole batch, or nothing of it."""
    rows = asked.rows("data")
    for row in rows:
        row.need("fixmedins_hilist_id")
        if row.need("med_list_codg").startswith("BAD"):
            raise Refusal("field_bad", code=f"med_list_codg {row.get('med_list_codg')}")
    for row in rows:
        key = (asked.fixmedins_code, row.get("fixmedins_hilist_id"), row.get("list_type"), row.get("med_list_codg"))
        world.published.mapped[key] = dict(row.fields)


def unmap_items(world: World, asked: Asked) -> None:
    """3302."""
    for row in asked.rows("data"):
        names = ("fixmedins_code", "fixmedins_hilist_id", "list_type", "med_list_codg")
        org, item, kind, code = (row.need(name) for name in names)
        if world.published.mapped.pop((org, item, kind, code), None) is None:
            raise Refusal("field_bad", code="fixmedins_hilist_id")


def take_list(world: World, asked: Asked) -> Content:
    """4101, 4101A: the settlement list of one settlement; the same again takes the place of the one before."""
    data = asked.record("setlinfo")
    setl_id = data.need("setl_id")
    settlement = world.settlements.get(setl_id)
    if settlement is None or settlement.state != "settled":
        raise Refusal("settlement_unknown")
    known = world.published.lists.get(setl_id)
    if known is not None and known["stas_type"] == SUBMITTED:
        raise Refusal("list_submitted")
    number = known["setl_list_id"] if known else world.identity("L")
    world.published.lists[setl_id] = {"setl_list_id": number, "stas_type": "0", "input": dict(asked.input)}
    return {"data": {"setl_list_id": number}}


SUBMITTED = "1"
"""``stas_type`` of a list that is handed in; no public dictionary, our reading."""


def mark_list(world: World, asked: Asked) -> None:
    """4102."""
    rows = asked.rows("stastinfo")
    if not rows:
        raise Refusal("field_missing", code="stastinfo")
    for row in rows:
        known = world.published.lists.get(row.need("setl_id"))
        if known is None:
            raise Refusal("settlement_unknown")
        known["stas_type"] = row.need("stas_type")
