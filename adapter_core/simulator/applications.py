"""Applications (备案): chronic diseases 2503, 2504, 5301; chosen institutions 2505, 2506, 5302; transfers 2501, 2502, 5304."""

from __future__ import annotations

from adapter_core.simulator.people import Person
from adapter_core.simulator.records import Ask, Asked, Refusal
from adapter_core.simulator.world import World
from adapter_core.values.content import Content

NUMBER = "trt_dcla_detl_sn"
Row = dict[str, str]


def chronic_of(world: World, asked: Asked) -> Content:
    """5301."""
    person = world.person(asked.record().need("psn_no"))
    fields = ("opsp_dise_code", "opsp_dise_name", "begndate", "enddate")
    return {"feedetail": [{name: row.get(name) or None for name in fields} for row in person.chronic]}


def chosen_of(world: World, asked: Asked) -> Content:
    """5302: of one kind of business, if it is named."""
    data = asked.record()
    person = world.person(data.need("psn_no"))
    wanted = data.get("biz_appy_type")
    rows = [row for row in person.chosen if wanted in ("", row.get("biz_appy_type"))]
    fields = ("fix_srt_no", "fixmedins_code", "fixmedins_name", "begndate", "enddate", "memo")
    return {
        "psnfixmedin": [{"psn_no": person.psn_no, **{name: row.get(name) or None for name in fields}} for row in rows]
    }


def transfers_of(world: World, asked: Asked) -> Content:
    """5304."""
    data = asked.record()
    rows = []
    for person in world.people:
        if data.get("psn_no") not in ("", person.psn_no):
            continue
        for row in person.transfers:
            base = {"psn_no": person.psn_no, "psn_name": person.psn_name, "psn_cert_type": person.psn_cert_type,
                    "certno": person.certno, "gend": person.gend, "insutype": person.insurances[0].insutype,
                    "dcla_souc": "02", "out_flag": "1", "begndate": row["refl_date"]}  # fmt: skip
            rows.append({**base, **{name: value for name, value in row.items() if name != NUMBER}})
    return {"refmedin": rows}


def file_chronic(world: World, asked: Asked) -> Content:
    """2503."""
    person, row = _filed(world, asked.record(), ("opsp_dise_code", "opsp_dise_name", "begndate"))
    return _kept(world, person.chronic, row, "opsp_dise_code")


def file_chosen(world: World, asked: Asked) -> Content:
    """2505."""
    person, row = _filed(world, asked.record(), ("biz_appy_type", "fixmedins_code", "fixmedins_name", "begndate"))
    return _kept(world, person.chosen, row, "fixmedins_code")


def file_transfer(world: World, asked: Asked) -> Content:
    """2501."""
    person, row = _filed(
        world, asked.record("refmedin"), ("reflin_medins_no", "refl_date", "refl_rea", "hosp_agre_refl_flag")
    )
    return _kept(world, person.transfers, row, "reflin_medins_no")


def unfile(world: World, asked: Asked) -> Content | None:
    """2502, 2504, 2506."""
    data = asked.record()
    person, number = world.person(data.need("psn_no")), data.need(NUMBER)
    rows = {"2504": person.chronic, "2506": person.chosen, "2502": person.transfers}[asked.infno]
    found = next((row for row in rows if row.get(NUMBER) == number), None)
    if found is None:
        raise Refusal("application_unknown")
    rows.remove(found)
    return {"result": {NUMBER: number}} if asked.infno == "2502" else None


def _filed(world: World, data: Ask, needed: tuple[str, ...]) -> tuple[Person, Row]:
    person = world.person(data.need("psn_no"))
    for name in needed:
        data.need(name)
    return person, {name: str(value) for name, value in data.fields.items() if value not in (None, "")}


def _kept(world: World, rows: list[Row], row: Row, same: str) -> Content:
    if any(one.get(same) == row[same] for one in rows):
        raise Refusal("application_there")
    row[NUMBER] = world.identity("B")
    rows.append(row)
    return {"result": {NUMBER: row[NUMBER]}}
