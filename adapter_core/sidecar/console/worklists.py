"""Lists of what waits for a person: paged by key, assigned, noted, closed, exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.bootstrap.offices import accounts_of
from adapter_core.formats.sheets import write_csv, write_excel
from adapter_core.settlement.answers import work_order
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import STATE_ZH
from adapter_core.sidecar.access import Forbidden, Right
from adapter_core.sidecar.console.acts import change
from adapter_core.sidecar.console.cases import masked_name
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    Visitor,
    counter_of,
    looked,
    page,
    posted,
    see,
    text_of,
    visitor,
)
from adapter_core.sidecar.console.listed import (
    LISTS,
    CaseList,
    ItemList,
    TableList,
    WorkList,
    counted,
    forget_table,
    page_of,
    table_of,
)
from adapter_core.sidecar.console.sheets import in_yuan, moment, place_name
from adapter_core.sidecar.console.tasks import Task, task_id, task_of
from adapter_core.values.errors import Refused

ROWS = 50
EXPORT_MAX = 5000
WORKLISTS = f"{HOME}/worklists"
HEAD = ("工单号", "状态", "业务", "姓名", "参保地", "总额", "自", "原因", "负责人", "备注")
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class Row:
    """One case in a list, without the person's number."""

    case: Case
    name: str
    why: str
    task: Task


@get(WORKLISTS)
async def overview(request: Asked) -> Response[bytes]:
    who = visitor(request, Right.READ)
    await looked(request, "worklists")
    return page(request, "worklists.html", lists=await counted(counter_of(request), who.place))


@get(f"{WORKLISTS}/{{name:str}}")
async def worklist(
    request: Asked, name: FromPath[str], after: Annotated[str, QueryParameter(name="after", max_length=200)] = ""
) -> Response[bytes]:
    """One page; ``after`` names the last row of the page before."""
    who = visitor(request, Right.READ)
    counter = counter_of(request)
    wanted = known(name)
    await looked(request, f"worklist {name}")
    match wanted:
        case CaseList():
            facts = await _cases(counter, who, wanted, after)
            return page(request, "worklist.html", one=wanted, after=after, **facts)
        case ItemList():
            facts = await _items(counter, who, wanted, after)
            return page(request, "item_list.html", one=wanted, after=after, **facts)
        case TableList():
            facts = await _table(counter, who, wanted, after)
            return page(request, "table_list.html", one=wanted, after=after, **facts)


@post(f"{WORKLISTS}/{{name:str}}/task")
async def change_item_task(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Take, note or close one row of a list; an item of the accounts is closed there, with the note as the reason."""
    who = visitor(request, Right.READ)
    counter, form = counter_of(request), posted(request)
    if not (who.may(Right.SETTLE) or who.may(Right.DECIDE)):
        raise Forbidden(f"{who.user.name} only looks")
    wanted = known(name)
    about = text_of(form, "about", 200)
    case_id = ""
    if isinstance(wanted, ItemList):
        item = await counter.desk.running.ledger.account_item(about)
        if item is None or item.topic != wanted.topic or item.org != who.place.org:
            raise _gone()
        case_id = item.case_id
        if text_of(form, "act", 10) == "close":
            await _closed(counter, who, wanted, about, text_of(form, "note", 200))
            return see(f"{WORKLISTS}/{name}", request, "已办结")
    elif isinstance(wanted, TableList):
        rows = await table_of(counter, wanted, who.place)
        if about not in {f"{name}:{wanted.key(row)}" for row in rows[1:]}:
            raise _gone()
    else:
        raise _gone()
    await change(request, counter, who, who.place.org, about, case_id)
    return see(f"{WORKLISTS}/{name}", request, "已记录")


@post(f"{WORKLISTS}/{{name:str}}/ask")
async def ask_again(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Ask the centre again about one row of a table; ``is_right``: the visitor knows that it is put right."""
    who = visitor(request, Right.READ)
    if not (who.may(Right.SETTLE) or who.may(Right.DECIDE)):
        raise Forbidden(f"{who.user.name} only looks")
    counter, wanted = counter_of(request), known(name)
    key, is_right = text_of(posted(request), "key", 64), text_of(posted(request), "is_right", 1) == "1"
    if not isinstance(wanted, TableList) or wanted.asks is None:
        raise _gone()
    rows = await table_of(counter, wanted, who.place)
    if key not in {row[wanted.asked] for row in rows[1:]}:
        raise _gone()
    await counter.note("ACTED", who.name, {"act": f"{'confirm' if is_right else 'ask'} {name}", "about": key})
    told = await wanted.asks(counter, who.place, key, is_right)
    forget_table(counter, wanted, who.place)
    return see(f"{WORKLISTS}/{name}", request, told)


@post(f"{WORKLISTS}/{{name:str}}/export", status_code=200)
async def export(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """The whole list as CSV or Excel, names masked; the journal has who took it."""
    who = visitor(request, Right.READ)
    counter = counter_of(request)
    wanted = known(name)
    form = "xlsx" if text_of(posted(request), "form", 4) == "xlsx" else "csv"
    rows = await _sheet(counter, who, wanted)
    await counter.note("ACTED", who.name, {"act": f"export {name}", "reason": f"{len(rows) - 1} rows, {form}"})
    return table_file(rows, wanted.title, name, form)


def table_file(rows: Sequence[Sequence[str]], title: str, name: str, form: str) -> Response[bytes]:
    """CSV or Excel, to be saved."""
    body = write_excel(rows, title) if form == "xlsx" else write_csv(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(body, media_type=SHEET if form == "xlsx" else "text/csv; charset=utf-8", headers=headers)


async def rows_of(counter: Counter, cases: Sequence[Case]) -> list[Row]:
    """Cases with masked name and task, read together."""
    encounters = await counter.lists.encounters(case.encounter_id for case in cases)
    kept = await counter.lists.items(task_id(case.case_id) for case in cases)
    rows = []
    for case in cases:
        encounter = encounters.get(case.encounter_id)
        name = str(encounter.content.get("person", {}).get("psn_name", "")) if encounter else ""
        rows.append(Row(case, masked_name(name), why_of(case), task_of(kept.get(task_id(case.case_id)))))
    return rows


def why_of(case: Case) -> str:
    """Why it stands as it stands, as far as it is written."""
    return str(case.data.get("frozen_because") or case.told.get("message_zh") or case.data.get("why") or "")


def case_cells(row: Row) -> list[str]:
    """A row of a file, in the order of HEAD."""
    case = row.case
    notes = "；".join(f"{moment(note['at'])} {note['by']}：{note['text']}" for note in row.task.notes)
    return [
        work_order(case),
        STATE_ZH.get(str(case.state), str(case.state)),
        case.key,
        row.name,
        place_name(case.insuplc_admdvs),
        in_yuan(case.total_fen if case.total_fen is not None else case.data.get("quoted", {}).get("total_fen")),
        moment(case.opened_at, seconds=True),
        row.why,
        row.task.assignee,
        notes,
    ]


def known(name: str) -> WorkList:
    """Raises: Refused."""
    if name not in LISTS:
        raise Refused("no such list", code="NOT_FOUND", message_zh="没有这个清单")
    return LISTS[name]


async def _cases(counter: Counter, who: Visitor, wanted: CaseList, after: str) -> dict[str, Any]:
    last = int(after) if after.isdigit() and len(after) < 19 else 0
    listed = await counter.lists.in_states(who.place.org, wanted.states, last, ROWS + 1)
    rows = await rows_of(counter, [one.case for one in listed[:ROWS]])
    return {"rows": rows, "onward": str(listed[ROWS - 1].ordinal) if len(listed) > ROWS else ""}


async def _items(counter: Counter, who: Visitor, wanted: ItemList, after: str) -> dict[str, Any]:
    items = await counter.lists.items_of(who.place.org, wanted.topic, wanted.states, after, ROWS + 1)
    kept = await counter.lists.items(task_id(item.item_id) for item in items)
    rows = [(item, wanted.cells(item), task_of(kept.get(task_id(item.item_id)))) for item in items[:ROWS]]
    return {"rows": rows, "onward": items[ROWS - 1].item_id if len(items) > ROWS else ""}


async def _table(counter: Counter, who: Visitor, wanted: TableList, after: str) -> dict[str, Any]:
    head, *rows = await table_of(counter, wanted, who.place)
    shown, onward = page_of(rows, after, ROWS, wanted.cells)
    about = [f"{wanted.name}:{key}" for key, _ in shown]
    kept = await counter.lists.items(map(task_id, about))
    tasks = [task_of(kept.get(task_id(one))) for one in about]
    cells = [row for _, row in shown]
    return {"head": head, "rows": list(zip(about, cells, tasks, strict=True)), "onward": onward}


async def _closed(counter: Counter, who: Visitor, wanted: ItemList, item_id: str, reason: str) -> None:
    """Raises: Forbidden, Refused."""
    who.client.demand(Right.DECIDE)
    if not wanted.closes:
        raise Refused("closes otherwise", code="NOT_CLOSED_HERE", message_zh="这一类事项随业务本身办结")
    if not reason:
        raise Refused("no reason", code="REASON_MISSING", message_zh="请填写原因")
    office = accounts_of(counter.desk.running, who.place)
    await office.do("close", {"item_id": item_id, "operator": who.name, "reason": reason})


async def _sheet(counter: Counter, who: Visitor, wanted: WorkList) -> list[list[str]]:
    """Head and at most EXPORT_MAX rows."""
    org = who.place.org
    match wanted:
        case CaseList():
            listed = await counter.lists.in_states(org, wanted.states, 0, EXPORT_MAX)
            rows = [list(HEAD)]
            for start in range(0, len(listed), 500):
                part = [one.case for one in listed[start : start + 500]]
                rows += [case_cells(row) for row in await rows_of(counter, part)]
            return rows
        case ItemList():
            items = await counter.lists.items_of(org, wanted.topic, wanted.states, "", EXPORT_MAX)
            head = ["日期", "状态", "金额", *(title for title, _ in wanted.columns)]
            return [head, *([one.day, one.state, in_yuan(one.amount_fen), *wanted.cells(one)] for one in items)]
        case TableList():
            return (await table_of(counter, wanted, who.place))[: EXPORT_MAX + 1]


def _gone() -> Refused:
    return Refused("no such row", code="NOT_FOUND", message_zh="没有这一条，请刷新")


ROUTES = [overview, worklist, change_item_task, ask_again, export]
