"""Search, exact, through the blind indexes and the ledger's own keys.  What is searched for travels in the body, never in an address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import FormMultiDict

from adapter_core.ledger.listing import Wanted
from adapter_core.settlement.states import STATE_ZH, State
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import HOME, Asked, counter_of, looked, page, posted, text_of, visitor
from adapter_core.sidecar.console.sheets import provinces
from adapter_core.sidecar.console.worklists import HEAD, ROWS, case_cells, rows_of, table_file
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.moments import CHINA, iso, parse_national_date
from adapter_core.values.money import MoneyError, fen, yuan

SEARCH = f"{HOME}/search"
EXPORT_MAX = 5000
FIELDS = (
    ("name", "姓名"), ("tail", "证件号码后四位"), ("visit", "就诊单号"), ("key", "业务号或工单号"), ("setl_id", "结算编号"),
    ("msgid", "报文编号 msgid"), ("invono", "发票号"), ("amount", "总额（元）"), ("day_from", "办理日期从"), ("day_to", "办理日期到"),
    ("state", "状态"), ("province", "参保省"),
)  # fmt: skip
BLIND = {"name": "psn_name", "tail": "certno_tail", "visit": "visit_key", "invono": "invono"}
"""Fields found by blind index → the index's kind."""
STATES = tuple(state for state in State if state is not State.DONE)


@get(SEARCH)
async def search_page(request: Asked) -> Response[bytes]:
    visitor(request, Right.READ)
    return page(request, "search.html", **_frame(), asked={}, rows=None, onward="", faults=())


@post(SEARCH, status_code=200)
async def search(request: Asked) -> Response[bytes]:
    """One page of what was found, newest first; ``before`` in the form names the last row of the page before."""
    who = visitor(request, Right.READ)
    counter, form = counter_of(request), posted(request)
    asked = {name: text_of(form, name, 64) for name, _ in FIELDS}
    try:
        wanted = wanted_of(asked)
    except TranslationError as error:
        return page(request, "search.html", 422, **_frame(), asked=asked, rows=None, onward="", faults=error.faults)
    await looked(request, "search", asked={name: value for name, value in asked.items() if value})
    org = who.place.org
    export = text_of(form, "form", 4)
    if export in ("csv", "xlsx"):
        listed = await counter.lists.found(org, wanted, None, EXPORT_MAX)
        rows = await rows_of(counter, [one.case for one in listed])
        return table_file([list(HEAD), *map(case_cells, rows)], "查询结果", "search", export)
    listed = await counter.lists.found(org, wanted, _cursor(form), ROWS + 1)
    rows = await rows_of(counter, [one.case for one in listed[:ROWS]])
    last = listed[ROWS - 1] if len(listed) > ROWS else None
    onward = f"{last.case.opened_at}~{last.ordinal}" if last else ""
    return page(request, "search.html", **_frame(), asked=asked, rows=rows, onward=onward, faults=())


def wanted_of(asked: Mapping[str, str]) -> Wanted:
    """Raises: TranslationError with every fault."""
    faults: list[Fault] = []
    if not any(asked.values()):
        faults.append(Fault("", "至少一个条件", "没有"))
    amount = _amount(asked.get("amount", ""), faults)
    day_from = _midnight(asked.get("day_from", ""), "day_from", 0, faults)
    day_to = _midnight(asked.get("day_to", ""), "day_to", 1, faults)
    if asked.get("state") and asked["state"] not in State.__members__:
        faults.append(Fault("state", "一个状态", asked["state"][:20]))
    if faults:
        raise TranslationError(faults)
    return Wanted(
        blind={BLIND[name]: asked[name] for name in BLIND if asked.get(name)},
        key=asked.get("key", ""),
        setl_id=asked.get("setl_id", ""),
        msgid=asked.get("msgid", ""),
        states=(State(asked["state"]),) if asked.get("state") else (),
        province=asked.get("province", "")[:2],
        total_fen=amount,
        opened_from=day_from,
        opened_before=day_to,
    )


def _amount(text: str, faults: list[Fault]) -> int | None:
    if not text:
        return None
    try:
        return fen(yuan(text.replace(",", "")))
    except MoneyError as error:
        faults.append(Fault("amount", "金额（元）", str(error)))
        return None


def _midnight(text: str, name: str, later: int, faults: list[Fault]) -> str:
    """Midnight in China of a day, or so many days later, as the ledger writes it; "" for none."""
    if not text:
        return ""
    try:
        day = parse_national_date(text) + timedelta(days=later)
    except (ValueError, OverflowError):
        faults.append(Fault(name, "yyyy-MM-dd", text[:20]))
        return ""
    return iso(datetime(day.year, day.month, day.day, tzinfo=CHINA))


def _cursor(form: FormMultiDict) -> tuple[str, int] | None:
    opened_at, _, ordinal = text_of(form, "before", 80).partition("~")
    return (opened_at, int(ordinal)) if ordinal.isdigit() and len(ordinal) < 19 else None


def _frame() -> dict[str, Any]:
    return {"fields": FIELDS, "states": STATES, "provinces": provinces(), "state_names": STATE_ZH}


ROUTES = [search_page, search]
