"""Lists of what waits for a person: paged by key, assigned, noted, exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from adapter_core.formats.sheets import write_csv, write_excel
from adapter_core.ledger.listing import Listed
from adapter_core.settlement.answers import work_order
from adapter_core.settlement.records import AccountItem, Case
from adapter_core.settlement.states import STATE_ZH, UNDECIDED, State
from adapter_core.sidecar.access import Forbidden, Right
from adapter_core.sidecar.console.acts import change
from adapter_core.sidecar.console.cases import masked_name
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    counter_of,
    looked,
    page,
    posted,
    see,
    text_of,
    visitor,
)
from adapter_core.sidecar.console.sheets import in_yuan, moment, place_name
from adapter_core.sidecar.console.tasks import PROPOSAL, PROPOSAL_TOPIC, Task, task_id, task_of
from adapter_core.values.errors import Refused

ROWS = 50
EXPORT_MAX = 5000
WORKLISTS = f"{HOME}/worklists"


@dataclass(frozen=True, slots=True)
class CaseList:
    """Cases in these states, oldest first."""

    name: str
    title: str
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items of a topic of the accounts in these states.  columns: title and name of the fact shown."""

    name: str
    title: str
    topic: str
    states: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()


CASE_LISTS = (
    CaseList("frozen", "待人工核定", (State.FROZEN,)),
    CaseList("unknown", "结果未知", tuple(sorted(UNDECIDED))),
    CaseList("papers", "手工报销材料", (State.MANUAL_OPEN, State.MANUAL_SUBMITTED)),
)
ITEM_LISTS = (
    ItemList(
        "decisions",
        "待复核的裁定",
        PROPOSAL_TOPIC,
        (PROPOSAL.waiting,),
        (("建议", "outcome"), ("理由", "reason"), ("提出人", "by")),
    ),
)
LISTS: dict[str, CaseList | ItemList] = {one.name: one for one in (*CASE_LISTS, *ITEM_LISTS)}
HEAD = ("工单号", "状态", "业务", "姓名", "参保地", "总额", "自", "原因", "负责人", "备注")


@dataclass(frozen=True, slots=True)
class Row:
    """One case in a list, without the person's number."""

    case: Case
    name: str
    why: str
    task: Task


@get(WORKLISTS)
async def overview(request: Asked) -> Response[bytes]:
    visitor(request, Right.READ)
    counter = counter_of(request)
    await looked(request, "worklists")
    return page(request, "worklists.html", lists=await counted(counter))


@get(f"{WORKLISTS}/{{name:str}}")
async def worklist(
    request: Asked, name: FromPath[str], after: Annotated[str, QueryParameter(name="after", max_length=200)] = ""
) -> Response[bytes]:
    """One page; ``after`` names the last row of the page before."""
    visitor(request, Right.READ)
    counter = counter_of(request)
    wanted = _known(name)
    await looked(request, f"worklist {name}")
    if isinstance(wanted, CaseList):
        listed = await counter.lists.in_states(counter.place.org, wanted.states, _ordinal(after), ROWS + 1)
        rows = await rows_of(counter, [one.case for one in listed[:ROWS]])
        onward = str(listed[ROWS - 1].ordinal) if len(listed) > ROWS else ""
        return page(request, "worklist.html", one=wanted, rows=rows, onward=onward, after=after)
    items = await counter.lists.items_of(counter.place.org, wanted.topic, wanted.states, after, ROWS + 1)
    onward = items[ROWS - 1].item_id if len(items) > ROWS else ""
    kept = await counter.lists.items(task_id(item.item_id) for item in items)
    pairs = [(item, task_of(kept.get(task_id(item.item_id)))) for item in items[:ROWS]]
    return page(request, "item_list.html", one=wanted, rows=pairs, onward=onward, after=after)


@post(f"{WORKLISTS}/{{name:str}}/task")
async def change_item_task(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Take, note or close an item of a list."""
    who = visitor(request, Right.READ)
    counter = counter_of(request)
    if not (who.may(Right.SETTLE) or who.may(Right.DECIDE)):
        raise Forbidden(f"{who.user.name} only looks")
    wanted = _known(name)
    about = text_of(posted(request), "about", 200)
    item = await counter.desk.running.ledger.account_item(about)
    if not isinstance(wanted, ItemList) or item is None or item.topic != wanted.topic:
        raise Refused("no such item", code="NOT_FOUND", message_zh="没有这一条，请刷新")
    await change(request, counter, who, item.item_id, item.case_id)
    return see(f"{WORKLISTS}/{name}", request, "已记录")


@post(f"{WORKLISTS}/{{name:str}}/export", status_code=200)
async def export(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """The whole list as CSV or Excel, names masked; the journal has who took it."""
    who = visitor(request, Right.READ)
    counter = counter_of(request)
    wanted = _known(name)
    form = "xlsx" if text_of(posted(request), "form", 4) == "xlsx" else "csv"
    rows = await _table(counter, wanted)
    await counter.note("ACTED", who.name, {"act": f"export {name}", "reason": f"{len(rows) - 1} rows, {form}"})
    return table_file(rows, wanted.title, name, form)


def table_file(rows: Sequence[Sequence[str]], title: str, name: str, form: str) -> Response[bytes]:
    """CSV or Excel, to be saved."""
    body = write_excel(rows, title) if form == "xlsx" else write_csv(rows)
    media_type = (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        if form == "xlsx"
        else "text/csv; charset=utf-8"
    )
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(body, media_type=media_type, headers=headers)


async def counted(counter: Counter) -> list[tuple[CaseList | ItemList, int]]:
    """Every list with how many wait in it."""
    org = counter.place.org
    items = await counter.lists.item_counts(org)
    found: list[tuple[CaseList | ItemList, int]] = []
    for one in LISTS.values():
        if isinstance(one, CaseList):
            found.append((one, await counter.lists.count_in(org, one.states)))
        else:
            found.append((one, sum(number for (topic, state), number in items.items() if _holds(one, topic, state))))
    return found


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


async def _table(counter: Counter, wanted: CaseList | ItemList) -> list[list[str]]:
    """Head and at most EXPORT_MAX rows."""
    org = counter.place.org
    if isinstance(wanted, CaseList):
        listed: list[Listed] = await counter.lists.in_states(org, wanted.states, 0, EXPORT_MAX)
        rows: list[list[str]] = [list(HEAD)]
        for start in range(0, len(listed), 500):
            part = [one.case for one in listed[start : start + 500]]
            rows += [case_cells(row) for row in await rows_of(counter, part)]
        return rows
    items = await counter.lists.items_of(org, wanted.topic, wanted.states, "", EXPORT_MAX)
    head = ["日期", "状态", "金额", *(title for title, _ in wanted.columns)]
    return [head, *([item.day, item.state, in_yuan(item.amount_fen), *facts_of(item, wanted)] for item in items)]


def facts_of(item: AccountItem, wanted: ItemList) -> list[str]:
    return [_fact(item.facts.get(name, "")) for _, name in wanted.columns]


def _fact(value: Any) -> str:
    return moment(value, seconds=True) if isinstance(value, datetime) else "" if value is None else str(value)


def _holds(one: ItemList, topic: str, state: str) -> bool:
    return topic == one.topic and (not one.states or state in one.states)


def _known(name: str) -> CaseList | ItemList:
    """Raises: Refused."""
    if name not in LISTS:
        raise Refused("no such list", code="NOT_FOUND", message_zh="没有这个清单")
    return LISTS[name]


def _ordinal(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 19 else 0


ROUTES = [overview, worklist, change_item_task, export]
