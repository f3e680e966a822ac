"""Which lists of work there are, and where each one's rows lie: cases of the ledger, items of the accounts, or a table made on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_core.accounts import receivables as dues
from adapter_core.accounts.differences import STANDING
from adapter_core.accounts.differences import TOPIC as DIFFERENCE
from adapter_core.accounts.his_books import TOPIC as HIS
from adapter_core.accounts.office import item_data
from adapter_core.accounts.reconciling import ALARM
from adapter_core.accounts.watching import TOPIC as FLAG
from adapter_core.bootstrap.offices import books_of, late_filings_of
from adapter_core.bootstrap.site import catalogue_store
from adapter_core.catalogues.coverage import coverage
from adapter_core.config import Config
from adapter_core.settlement.filing_state import stated
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import AccountItem
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.sidecar.console.cases import masked_name
from adapter_core.sidecar.console.counter import Counter
from adapter_core.sidecar.console.sheets import moment, place_name
from adapter_core.sidecar.console.tasks import PROPOSAL, PROPOSAL_TOPIC
from adapter_core.sidecar.late_filings import FILING_ZH, unfiled_data
from adapter_core.values.moments import national_date

Table = list[list[str]]
"""Head first."""
FRESH_S = 60.0
"""A table is made anew at most so often."""


@dataclass(frozen=True, slots=True)
class CaseList:
    """Cases in these states, oldest first."""

    name: str
    title: str
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items of a topic in these states.  columns: title and name of what is shown; closes: an operator may close one with a
    reason."""

    name: str
    title: str
    topic: str
    states: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    closes: bool = False

    def cells(self, item: AccountItem) -> list[str]:
        """In the order of the columns; nothing of the person."""
        said = {**item.facts, **item_data(item)}
        return [str(said.get(name, "") or "") for _, name in self.columns]


@dataclass(frozen=True, slots=True)
class TableList:
    """Rows made from the ledger's books or a file beside it, in the order of their first cells.  exists: whether there is anything
    to make it from.  cells: how many of the first cells tell a row from the others, None for all.  asks: asks the centre again about
    the row whose cell ``asked`` has this text, and says what came of it; its last argument: the visitor says that it is put right."""

    name: str
    title: str
    make: Callable[[Counter, Place], Awaitable[Table]]
    exists: Callable[[Config], bool] = lambda config: True
    cells: int | None = None
    asks: Callable[[Counter, Place, str, bool], Awaitable[str]] | None = None
    asked: int = 0

    def key(self, row: Sequence[str]) -> str:
        """What a row is known by."""
        return key_of(row[: self.cells])


WorkList = CaseList | ItemList | TableList


async def receivables(counter: Counter, place: Place) -> Table:
    """What each region still owes, month by month."""
    ledger = counter.desk.running.ledger
    items = [*await ledger.account_items(place.org, dues.BANK), *await ledger.account_items(place.org, dues.DEDUCTION)]
    found = await asyncio.to_thread(dues.receivables, books_of(counter.config), place.org, items)
    head, *rows = dues.table([due for due in found if due.left], national_date(counter.clock.wall()))
    return [head, *sorted(rows)]


async def unmapped(counter: Counter, place: Place) -> Table:
    """Items of the hospital without a national code, or with one that a downloaded catalogue ended or does not have."""
    return await asyncio.to_thread(_unmapped, counter.config, place.org, national_date(counter.clock.wall()))


def _unmapped(config: Config, org: str, day: str) -> Table:
    with catalogue_store(config) as store:
        found = coverage(store, org, day)
    kinds = (("未对照", found.unmapped), ("编码已停用", found.ended), ("目录中没有该编码", found.unknown))
    rows = [[item.item, item.name, item.list_type, item.med_list_codg, why] for why, items in kinds for item in items]
    return [["院内编码", "名称", "类别", "国家编码", "原因"], *sorted(rows)]


UNFILED_HEAD = [
    "出院",
    "入院日期",
    "就诊号",
    "住院号",
    "姓名",
    "科室床位",
    "参保地",
    "备案情况",
    "说明",
    "要办的事",
    "期限",
    "上次查询",
]


async def unfiled(counter: Counter, place: Place) -> Table:
    """Stays from elsewhere without a filing: who leaves first comes first."""
    rows = [(one, unfiled_data(one)) for one in await late_filings_of(counter.desk.running).listed(place)]
    cells = [
        [
            "出院" if told["is_discharged"] else "在院",
            told["admitted"],
            told["encounter_key"],
            told["ipt_no"],
            masked_name(str(one.encounter.content.get("person", {}).get("psn_name", ""))),
            f"{told['adm_dept_name']} {told['adm_bed']}".strip(),
            place_name(told["insuplc_admdvs"]),
            FILING_ZH.get(told["filing"], told["filing"]),
            told["text"] or told["message_zh"],
            "；".join([told["todo_zh"], *(f"{one['name']}（{one['how']}）" for one in told["channels"])]),
            told["due_zh"],
            moment(told["asked_at"] or ""),
        ]
        for one, told in rows
    ]
    return [UNFILED_HEAD, *sorted(cells)]


async def ask_filing(counter: Counter, place: Place, encounter_key: str, is_filed: bool) -> str:
    """Whether it is filed now.  is_filed: the office saw it on the patient's app, or heard it from the place of insurance."""
    filings = late_filings_of(counter.desk.running)
    answer = await filings.asked(place, encounter_key, stated({"source": "console"}) if is_filed else None)
    still = await filings.one(place, encounter_key)
    return answer.cashier_zh if still is not None else "已有备案，移出清单"


def _has_catalogues(config: Config) -> bool:
    return config.path(config.settings.catalogues.file).exists()


_DIFFERENCE_COLUMNS = (
    ("类型", "title_zh"), ("结算编号", "setl_id"), ("本院总额", "ours_total"), ("中心总额", "centre_total"), ("说明", "text"),
    ("处理建议", "advice_zh"),
)  # fmt: skip
_PAYMENT_COLUMNS = (("付款方", "payer"), ("流水号", "reference"), ("摘要", "note"))
_FLAG_COLUMNS = (("类型", "title_zh"), ("对象", "what"), ("次数", "count"))

LISTS: dict[str, WorkList] = {
    one.name: one
    for one in (
        CaseList("frozen", "待人工核定", (State.FROZEN,)),
        ItemList(
            "decisions",
            "待复核的裁定",
            PROPOSAL_TOPIC,
            (PROPOSAL.waiting,),
            (("建议", "outcome"), ("理由", "reason"), ("提出人", "by")),
        ),
        CaseList("unknown", "结果未知", tuple(sorted(UNDECIDED))),
        CaseList("papers", "手工报销材料", (State.MANUAL_OPEN, State.MANUAL_SUBMITTED)),
        ItemList("differences", "对账差异", DIFFERENCE, STANDING, _DIFFERENCE_COLUMNS, closes=True),
        ItemList("his-differences", "与 HIS 账目的差异", HIS, STANDING, _DIFFERENCE_COLUMNS, closes=True),
        ItemList("account-alarms", "对账告警", ALARM, STANDING, _DIFFERENCE_COLUMNS, closes=True),
        ItemList("flags", "管控提示", FLAG, STANDING, _FLAG_COLUMNS, closes=True),
        ItemList("payments", "未核销到账", dues.BANK, (dues.UNMATCHED,), _PAYMENT_COLUMNS),
        TableList("receivables", "应收医保款", receivables),
        TableList("unmapped", "未对照的目录", unmapped, _has_catalogues),
        TableList("unfiled", "未备案的异地住院患者", unfiled, cells=3, asks=ask_filing, asked=2),
    )
}


def forget_table(counter: Counter, wanted: TableList, place: Place) -> None:
    """What it is made from has changed."""
    counter.kept.pop(f"table {wanted.name} {place.org}", None)


async def table_of(counter: Counter, wanted: TableList, place: Place) -> Table:
    """The table, not older than FRESH_S."""
    name = f"table {wanted.name} {place.org}"
    made_at, kept = counter.kept.get(name, (0.0, None))
    if kept is not None and counter.clock.mono() - made_at < FRESH_S:
        found: Table = kept
        return found
    made = await wanted.make(counter, place)
    counter.kept[name] = (counter.clock.mono(), made)
    return made


async def counted(counter: Counter, place: Place) -> list[tuple[WorkList, int | None]]:
    """Every list there is, with how many wait in it; None for a table, which is made when it is looked at."""
    items = await counter.lists.item_counts(place.org)
    found: list[tuple[WorkList, int | None]] = []
    for one in LISTS.values():
        match one:
            case CaseList():
                found.append((one, await counter.lists.count_in(place.org, one.states)))
            case ItemList():
                found.append((one, sum(items.get((one.topic, state), 0) for state in one.states)))
            case TableList() if one.exists(counter.config):
                found.append((one, None))
    return found


def page_of(rows: Sequence[Sequence[str]], after: str, size: int, cells: int | None = None) -> tuple[list[Any], str]:
    """The rows whose key (so many of their cells as one text) comes after, and the key of the last of them where more follow."""
    keyed = [(key_of(row[:cells]), row) for row in rows]
    left = [one for one in keyed if one[0] > after]
    onward = left[size - 1][0] if len(left) > size else ""
    return left[:size], onward


def key_of(cells: Sequence[str]) -> str:
    return "\x1f".join(cells)[:180]
