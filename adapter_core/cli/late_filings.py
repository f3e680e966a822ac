"""``unfiled``: stays from elsewhere without a filing; through the service where one runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.offices import late_filings_of
from adapter_core.cli.app import EXIT
from adapter_core.cli.remote import Service, listens
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.formats.json import read_json
from adapter_core.settlement.late_filing import refuse_unknown
from adapter_core.sidecar.late_filings import FILING_ZH, unfiled_data
from adapter_core.sidecar.told import encode

HEAD = ("就诊号", "住院号", "科室床位", "入院", "已办出院", "参保地", "备案情况", "说明", "上次查询")


async def list_unfiled(config: Path, refresh: Sequence[str], all_of_them: bool, institution: str, as_json: bool) -> int:
    """The list, after the stays named, or all of it, were asked about again."""
    rows = await _listed(load_config(config), refresh, all_of_them, institution)
    if as_json:
        print_json({"unfiled": rows})
        return EXIT["done"]
    print_table("未备案的异地住院患者", HEAD, [_cells(row) for row in rows])
    for row in rows[:1]:
        print(f"{row['due_zh']}：{row['todo_zh']}（{row['basis']}）")
    return EXIT["done"]


async def _listed(site: Config, refresh: Sequence[str], all_of_them: bool, institution: str) -> list[dict[str, Any]]:
    if listens(site):
        async with Service(site) as service:
            return await _from_service(service, refresh, all_of_them, institution)
    async with adapter(site) as running:
        place, filings = running.place_named(institution), late_filings_of(running)
        keys = [row.encounter.encounter_key for row in await filings.listed(place)] if all_of_them else refresh
        for key in keys:
            refuse_unknown(await running.ledger.encounter_by_key(place.org, key), key)
            await filings.asked(place, key)
        found: list[dict[str, Any]] = read_json(encode([unfiled_data(row) for row in await filings.listed(place)]))
        return found


async def _from_service(
    service: Service, refresh: Sequence[str], all_of_them: bool, institution: str
) -> list[dict[str, Any]]:
    named = f"&fixmedins_code={quote(institution)}" if institution else ""
    path = f"/v1/worklist?kind=unfiled&limit=500{named}"

    async def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_json(await service.read(path))["unfiled"]
        return found

    keys = [row["encounter_key"] for row in await listed()] if all_of_them else refresh
    for key in keys:
        order = {"fixmedins_code": institution} if institution else {}
        await service.order(f"/v1/encounters/{quote(key, safe='')}/filing", order)
    return await listed()


def _cells(row: dict[str, Any]) -> list[str]:
    where = f"{row['adm_dept_name']} {row['adm_bed']}".strip()
    leaving = "是" if row["is_discharged"] else ""
    insured = row["insuplc_name"] or row["insuplc_admdvs"]
    asked = (row["asked_at"] or "")[:16].replace("T", " ")
    said = row["text"] or row["message_zh"]
    return [
        row["encounter_key"],
        row["ipt_no"],
        where,
        row["admitted"],
        leaving,
        insured,
        FILING_ZH.get(row["filing"], row["filing"]),
        said,
        asked,
    ]
