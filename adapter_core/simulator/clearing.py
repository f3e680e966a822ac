"""Clearing: monthly applications 3203/3204, and the cross-province lists 3260 with their confirmation 3261."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from adapter_core.simulator.records import Ask, Asked, Refusal, Settlement
from adapter_core.simulator.settling import CLR_TYPE
from adapter_core.simulator.statements import GONE
from adapter_core.simulator.world import World
from adapter_core.values.content import Content
from adapter_core.values.moments import national_date, national_time

ROWS_AT_ONCE = 100
"""Source: 3260's table, 每次返回不超过 100 条."""
CONFIRMED = "1"
ZERO = Decimal("0.00")


def apply(world: World, asked: Asked) -> Content:
    """3203: taken when its sums are the centre's own, net of refunds."""
    data = asked.record()
    since, until = data.need("begndate"), data.need("enddate")
    sums = {"medfee_sumamt": ZERO, "fund_pay_sumamt": ZERO, "acct_pay": ZERO}
    count = 0
    for sign, one in _moved(world, asked, data.need("clr_type"), since, until):
        count += sign
        amounts = one.split.amounts()
        sums = {name: value + sign * amounts[name] for name, value in sums.items()}
    claimed = {
        name: data.money(code) for name, code in zip(sums, ("medfee_sumamt", "fund_appy_sum", "acct_pay"), strict=True)
    }
    if claimed != sums or int(data.need("psntime")) != count:
        raise Refusal("clearing_differs", held=f"{count} 人次 {sums['medfee_sumamt']}")
    number = world.identity("Q")
    key = (asked.fixmedins_code, data.need("setlym"), data.need("clr_type"))
    if any(one["key"] == key and one["state"] == "applied" for one in world.clearings.values()):
        raise Refusal("clearing_there")
    world.clearings[number] = {"key": key, "state": "applied", "fund": sums["fund_pay_sumamt"]}
    return {"result": {"clr_appy_evt_id": number}}


def withdraw(world: World, asked: Asked) -> None:
    """3204."""
    found = world.clearings.get(asked.record().need("clr_appy_evt_id"))
    if found is None or found["state"] != "applied":
        raise Refusal("clearing_unknown")
    found["state"] = "withdrawn"


def _moved(world: World, asked: Asked, clr_type: str, since: str, until: str) -> list[tuple[int, Settlement]]:
    """+1 for each settlement of the period, -1 for each refund of it."""
    rows = []
    for one in world.settlements.values():
        mine = one.place.fixmedins_code == asked.fixmedins_code and one.state not in GONE
        if not mine or CLR_TYPE[one.split.rule.kind] != clr_type:
            continue
        if since <= national_date(one.at) <= until:
            rows.append((1, one))
        if one.state == "refunded" and one.refund and since <= national_date(one.refund.at) <= until:
            rows.append((-1, one))
    return rows


def cleared_rows(world: World, asked: Asked) -> Content:
    """3260: settled visits of people insured in another 统筹区, numbered, at most 100 at once."""
    data = asked.record()
    first = int(data.number("startrow", 12, 0))
    rows = _list(world, asked, data)
    return {"data": rows[max(first, 1) - 1 : max(first, 1) - 1 + ROWS_AT_ONCE]}


def _list(world: World, asked: Asked, data: Ask) -> list[dict[str, Any]]:
    month = f"{data.need('trt_year')}-{data.need('trt_month')}"
    rows: list[dict[str, Any]] = []
    for one in world.settlements.values():
        insurance = world.person(one.visit.psn_no).insurance(one.insutype)
        insured = insurance.insuplc_admdvs if insurance else ""
        elsewhere = insured[:4] != one.place.mdtrtarea_admvs[:4]
        mine = one.place.fixmedins_code == asked.fixmedins_code and one.state == "settled"
        if not (mine and elsewhere and national_date(one.at).startswith(month)):
            continue
        amounts = one.split.amounts()
        rows.append(
            {
                "seqno": len(rows) + 1,
                "mdtrtarea": one.place.mdtrtarea_admvs,
                "medins_no": one.place.fixmedins_code,
                "certno": world.person(one.visit.psn_no).certno,
                "mdtrt_id": one.visit.mdtrt_id,
                "mdtrt_setl_time": national_time(one.at),
                "setl_sn": one.setl_id,
                "fulamt_advpay_flag": "0",
                "medfee_sumamt": amounts["medfee_sumamt"],
                "optins_pay_sumamt": amounts["fund_pay_sumamt"] + amounts["acct_pay"],
            }
        )
    return rows


def confirm(world: World, asked: Asked) -> None:
    """3261: every row of the month's list, confirmed or returned."""
    data = asked.record()
    listed = {row["setl_sn"]: row for row in _list(world, asked, data)}
    rows = asked.rows("detail")
    if int(data.need("totalrow")) != len(rows) or {row.need("setl_sn") for row in rows} - listed.keys():
        raise Refusal("clearing_list_differs")
    for row in rows:
        if row.money("medfee_sumamt") != listed[row.need("setl_sn")]["medfee_sumamt"]:
            raise Refusal("clearing_list_differs")
        world.confirmed[row.need("setl_sn")] = row.get("cnfm_flag") or CONFIRMED
