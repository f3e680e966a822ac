"""Everything the insurance office asks of the accounts, by name: what the command line and the HTTP service both offer.

Each order and each answer is JSON; amounts are texts in yuan, days ``yyyy-MM-dd``, months ``yyyy-MM``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from adapter_core.accounts import day_end, deadlines, payments, receivables, reports
from adapter_core.accounts.acting import yuan_of
from adapter_core.accounts.books import Books
from adapter_core.accounts.clearing import APPLICATION, APPLIED, LISTED, Clearing
from adapter_core.accounts.differences import CLASSES, CLOSED, EXPLAINED, OPEN, STANDING, made_id
from adapter_core.accounts.differences import TOPIC as DIFFERENCE
from adapter_core.accounts.his_books import TITLES as HIS_TITLES
from adapter_core.accounts.his_books import TOPIC as HIS
from adapter_core.accounts.his_books import HisBooks, read_bookings
from adapter_core.accounts.reconciling import ALARM, BALANCED, DIFFERS, RUN, Reconciling, Report
from adapter_core.accounts.watching import TITLES as FLAG_TITLES
from adapter_core.accounts.watching import TOPIC as FLAG
from adapter_core.accounts.watching import Rules, WatchedLedger, Watching
from adapter_core.accounts.wrong_persons import WrongPersons
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import AccountItem
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, Refused, TranslationError
from adapter_core.values.moments import Clock, national_date, national_time
from adapter_core.values.money import MoneyError, fen, from_fen, yuan

Order = Mapping[str, Any]
Data = dict[str, Any]
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
RUN_ZH = {
    "balanced": "对平",
    "differs": "有差异",
    "partly": "部分线路未对账",
    "refused": "对账文件有误",
    "failed": "中心未应答",
}
TITLES = {**{code: one.title for code, one in CLASSES.items()}, **HIS_TITLES, **FLAG_TITLES}


@dataclass(slots=True)
class AccountsOffice:
    """One institution's.  reconciling, clearing: made when first needed, since not every gateway can."""

    place: Place
    books: Books
    ledger: WatchedLedger
    notes: FromFiles
    clock: Clock
    reconciling: Callable[[], Reconciling]
    clearing: Callable[[], Clearing]
    rules: Rules
    wrong_persons: WrongPersons
    shifts: tuple[str, ...] = ("00:00",)
    prepaid_fen: int = 0
    _orders: dict[str, Callable[[Order], Awaitable[Data]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._orders = {
            "reconcile": self._reconcile,
            "run": self._run,
            "differences": self._differences,
            "close": self._close,
            "dayend": self._day_end,
            "receivables": self._receivables,
            "deduct": self._deduct,
            "bank": self._bank,
            "apply": self._apply,
            "withdraw": self._withdraw,
            "clear": self._clear,
            "his": self._his,
            "watch": self._watch,
            "flags": self._flags,
            "wrong_person": self._wrong_person,
            "payments": self._payments,
            "match": self._match,
            "unbook": self._unbook,
            "calendar": self._calendar,
            "remind": self._remind,
            "inquiries": self._inquiries,
            "report": self._report,
        }

    @property
    def _payments_book(self) -> payments.Payments:
        return payments.Payments(self.books, self.ledger, self.notes, self.place.org)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._orders)

    async def do(self, name: str, order: Order) -> Data:
        """Raises: TranslationError for an order that can't be read, Refused, whatever the ledger raises."""
        work = self._orders.get(name)
        if work is None:
            raise TranslationError([Fault("order", " | ".join(self._orders), name[:20])])
        return await work(order)

    def _today(self) -> str:
        return national_date(self.clock.wall())

    # reconciliation

    async def _reconcile(self, order: Order) -> Data:
        report = await self.reconciling().run(_day(order), detail=bool(order.get("detail")))
        return run_data(report)

    async def _run(self, order: Order) -> Data:
        """The newest run of a day and its differences, from the ledger alone."""
        day = _day(order)
        runs = await self.ledger.account_items(self.place.org, RUN, (), day)
        if not runs:
            raise Refused(f"no run of {day}", code="NO_SUCH_RUN", message_zh=f"{day} 还没有对过账")
        last = max(runs, key=lambda one: one.changed_at)
        items = await self.ledger.account_items(self.place.org, DIFFERENCE, (), day)
        return {
            "date": day,
            "state": last.state,
            "state_zh": RUN_ZH.get(last.state, last.state),
            "at": last.changed_at,
            **plain(last.facts),
            "differences": [item_data(one) for one in items],
        }

    async def _differences(self, order: Order) -> Data:
        states = () if order.get("all") else STANDING
        day = str(order.get("date") or "")
        items = []
        for topic in (DIFFERENCE, HIS, ALARM):
            items += await self.ledger.account_items(self.place.org, topic, states, day)
        return {"differences": [item_data(one) for one in items]}

    async def _close(self, order: Order) -> Data:
        """A person says why: a difference explained, a flag dismissed, an alarm seen to."""
        said = _texts(order, "item_id", "operator", "reason")
        item = await self.ledger.account_item(said["item_id"])
        if item is None or item.org != self.place.org or item.topic not in (DIFFERENCE, HIS, FLAG, ALARM):
            raise Refused("no such item", code="NO_SUCH_ITEM", message_zh="没有这个事项，请核对编号")
        if item.state in (CLOSED, EXPLAINED):
            raise Refused(f"state {item.state}", code="CLOSED_ALREADY", message_zh="该事项已了结")
        facts = {**item.facts, "operator": said["operator"], "reason": said["reason"]}
        done = replace(item, state=EXPLAINED, version=item.version + 1, changed_at=self.notes.stamp(), facts=facts)
        await self.notes.noted(done, event="EXPLAINED", user=said["operator"], reason=said["reason"], of=item.subject)
        return item_data(done)

    # the day's end

    async def _day_end(self, order: Order) -> Data:
        """opter: only one operator's part, for that person's own slip."""
        day, operator = _day(order), str(order.get("opter") or "")
        unknown = await self._undecided(day)
        found = await asyncio.to_thread(day_end.day_end, self.books, self.place.org, day, self.shifts, unknown)
        found = found.of(operator) if operator else found
        return {**self._named(), **found.data(), "table": found.table()}

    async def _undecided(self, day: str) -> list[day_end.Undecided]:
        """What was opened until the end of that day and is not decided now, by who opened it."""
        found = []
        for case in await self.ledger.cases_in((*UNDECIDED, State.FROZEN)):
            opened = national_time(datetime.fromisoformat(case.opened_at))
            encounter = await self.ledger.encounter(case.encounter_id)
            is_money = case.org == self.place.org and case.purpose in ("settle", "void")
            if opened[:10] > day or encounter is None or not is_money:
                continue
            env, quoted = encounter.content.get("env", {}), case.data.get("quoted", {})
            fen_at_stake = int(quoted["total_fen"]) if "total_fen" in quoted else case.total_fen
            named = (str(env.get("opter", "")), str(env.get("dev_no", "")), opened[11:16])
            found.append(day_end.Undecided(case.case_id[:10].upper(), *named, fen_at_stake))
        return found

    def _named(self) -> Data:
        return {"fixmedins_code": self.place.org, "fixmedins_name": self.place.site.fixmedins_name}

    # what is owed

    async def _dues(self) -> list[receivables.Due]:
        items = await self._payments_book.items()
        return await asyncio.to_thread(receivables.receivables, self.books, self.place.org, items)

    async def _receivables(self, order: Order) -> Data:
        month = str(order.get("month") or "")
        dues = [due for due in await self._dues() if not month or due.month == month]
        today = self._today()
        asked = (self.books, self.place.org, today[:4], self.prepaid_fen)
        level = await asyncio.to_thread(receivables.prepayment, *asked)
        return {
            **self._named(),
            "date": today,
            "receivables": receivables.data(dues, today),
            "table": receivables.table(dues, today),
            "ageing": receivables.ageing(dues, today),
            "prepayment": level,
        }

    async def _deduct(self, order: Order) -> Data:
        said = _texts(order, "amount", "reason", "operator")
        month, region = _month(order), str(order.get("insuplc_admdvs") or "")
        try:
            amount = fen(yuan(said["amount"]))
        except MoneyError as error:
            raise TranslationError([Fault("amount", "两位小数的金额", str(error))]) from None
        facts = {"month": month, "region": region, "reason": said["reason"], "operator": said["operator"]}
        return payments.payment_data(await self._payments_book.deduct(amount, facts))

    async def _bank(self, order: Order) -> Data:
        """Bank lines in: each is kept once; where exactly one due has its amount, it pays it."""
        dues = await self._dues()
        return dict(await self._payments_book.book(_rows(order), lambda new: payments.matched(self.books, dues, new)))

    async def _payments(self, order: Order) -> Data:
        """Bank lines and deductions; without ``all`` the bank lines that nobody matched yet."""
        items = await self._payments_book.items()
        shown = [one for one in items if order.get("all") or one.state == receivables.UNMATCHED]
        return {"payments": [payments.payment_data(one) for one in shown]}

    async def _match(self, order: Order) -> Data:
        """A person says which month, and which place of insurance, a bank line pays."""
        said, month = _texts(order, "item_id", "operator"), _month(order)
        region = str(order.get("insuplc_admdvs") or "")
        book, dues = self._payments_book, await self._dues()
        return payments.payment_data(await book.assign(said["item_id"], month, region, said["operator"], dues))

    async def _unbook(self, order: Order) -> Data:
        said = _texts(order, "item_id", "operator", "reason")
        return payments.payment_data(
            await self._payments_book.take_out(said["item_id"], said["operator"], said["reason"])
        )

    async def _apply(self, order: Order) -> Data:
        said = _texts(order, "clr_type")
        item = await self.clearing().apply(_month(order), said["clr_type"], str(order.get("anyway") or ""))
        return item_data(item)

    async def _withdraw(self, order: Order) -> Data:
        return item_data(await self.clearing().withdraw(_month(order), _texts(order, "clr_type")["clr_type"]))

    async def _clear(self, order: Order) -> Data:
        return (await self.clearing().monthly_list(_month(order), bool(order.get("confirm")))).data()

    async def _calendar(self, order: Order) -> Data:
        today = self._today()
        return {"calendar": deadlines.calendar(today, await self._known(deadlines.month_before(today)))}

    async def _known(self, month: str) -> deadlines.Known:
        """What the books show done of a month."""
        org = self.place.org
        runs = await self.ledger.account_items(org, RUN, (BALANCED, DIFFERS))
        standing = await self.ledger.account_items(org, DIFFERENCE, STANDING)
        settled = await asyncio.to_thread(deadlines.settled_days, self.books, org, month)
        applied = await self.ledger.account_items(org, APPLICATION, (APPLIED,), month)
        listed = await self.ledger.account_items(org, LISTED, ("confirmed",), month)
        inquirable = await asyncio.to_thread(receivables.inquiries, self.books, org, month)
        return deadlines.Known(
            unbalanced=(settled - {one.day for one in runs}) | {one.day for one in standing if one.day[:7] == month},
            applied={one.subject for one in applied},
            listed=bool(listed),
            inquirable=len(inquirable),
            dues=await self._dues(),
        )

    async def _remind(self, order: Order) -> Data:
        """Alarms, each once: the prepayment's level, and a date that passed with its work not done."""
        org, today = self.place.org, self._today()
        asked = (self.books, org, today[:4], self.prepaid_fen)
        level = await asyncio.to_thread(receivables.prepayment, *asked)
        due = []
        if level["level"] in ("yellow", "red"):
            text = f"{today[:4]} 年预付金已用 {level['percent']}%（{level['used']} / {level['quota']} 元）"
            due.append((f"prepayment {level['year']} {level['level']}", text))
        for row in (await self._calendar({}))["calendar"]:
            if row["late"] and not row["what"].endswith(deadlines.INQUIRED):
                due.append((f"deadline {row['what']}", f"已过期限 {row['by']}：{row['what']}"))
        alarms = []
        for subject, text in due:
            number, now = made_id(org, ALARM, subject), self.notes.stamp()
            if await self.ledger.account_item(number) is not None:
                continue
            item = AccountItem(
                number, org, ALARM, subject.split()[0], today, OPEN, opened_at=now, changed_at=now, facts={"text": text}
            )
            await self.notes.noted(item)
            alarms.append(item_data(item))
        return {"alarms": alarms}

    async def _inquiries(self, order: Order) -> Data:
        """With what the other side's inquiry names: invoice, stay number and dates."""
        month = _month(order)
        found = await asyncio.to_thread(receivables.inquiries, self.books, self.place.org, month)
        rows = [{**row, **await self._inquired(row["case_id"])} for row in found]
        return {**self._named(), "month": month, "inquiries": rows, "table": receivables.inquiry_table(rows)}

    async def _inquired(self, case_id: str) -> dict[str, str]:
        case = await self.ledger.case(case_id)
        encounter = await self.ledger.encounter(case.encounter_id) if case else None
        bill = await self.ledger.bill(case.bill_id) if case else None
        if case is None or encounter is None or bill is None:
            return {}
        visit, settle = encounter.content.get("visit", {}), bill.content.get("settle", {})
        invono = case.data.get("acked", {}).get("invono") or settle.get("invono") or ""
        names = ("ipt_no", "begntime", "endtime")
        stay = visit.get("ipt_no") or visit.get("ipt_otp_no") or ""
        said = {name: str(visit.get(name) or "") for name in names}
        return {**said, "ipt_no": str(stay), "invono": str(invono)}

    # the third side, watching, reports

    async def _his(self, order: Order) -> Data:
        compared = HisBooks(self.books, self.ledger, self.notes, self.place.org)
        items = await compared.compare(_day(order), read_bookings(_rows(order)))
        return {"differences": [item_data(one) for one in items]}

    async def _watch(self, order: Order) -> Data:
        watching = Watching(self.books, self.ledger, self.notes, self.place.org, self.rules)
        return {"flags": [item_data(one) for one in await watching.watch(_day(order))]}

    async def _flags(self, order: Order) -> Data:
        states = () if order.get("all") else STANDING
        return {"flags": [item_data(one) for one in await self.ledger.account_items(self.place.org, FLAG, states)]}

    async def _wrong_person(self, order: Order) -> Data:
        """A settlement was made with somebody else's card: taken back, noted, and the right person gets a new case."""
        said = _texts(order, "key", "operator", "reason")
        return await self.wrong_persons.take_back(said["key"], said["operator"], said["reason"], self._today())

    async def _report(self, order: Order) -> Data:
        since, until = _day(order, "from"), _day(order, "to")
        if since > until:
            raise TranslationError([Fault("to", f"{since} 或以后", until)], message_zh="日期有误，未办理")
        asked = (self.books, self.place.org, since, until)
        sheets = await asyncio.to_thread(reports.sums, *asked)
        rates, failures = await asyncio.to_thread(reports.direct_rates, *asked)
        failed = [await self.ledger.case(case_id) for case_id in failures]
        sheets += [*rates, reports.why_not(reports.failure_code(case) for case in failed if case is not None)]
        return {**self._named(), "from": since, "to": until, "sheets": [one.data() for one in sheets]}


def run_data(report: Report) -> Data:
    """A run that was just made."""
    return {
        "date": report.day,
        "state": report.state,
        "state_zh": RUN_ZH[report.state],
        **report.facts(),
        "differences": [item_data(one) for one in report.items],
    }


def item_data(item: AccountItem) -> Data:
    """One item as the office sees it: nothing of the person."""
    kind = CLASSES.get(item.subject)
    return {
        "item_id": item.item_id,
        "topic": item.topic,
        "class": item.subject,
        "title_zh": TITLES.get(item.subject, item.subject),
        "advice_zh": kind.advice if kind else "",
        "date": item.day,
        "state": item.state,
        "work_order": item.case_id[:10].upper(),
        "amount": "" if item.amount_fen is None else f"{from_fen(item.amount_fen):.2f}",
        "setl_id": str(item.facts.get("setl_id", "")),
        "ours_total": yuan_of(item, "ours_total"),
        "centre_total": yuan_of(item, "centre_total"),
        "lines": list(item.facts.get("lines", [])),
        "lines_text": str(item.facts.get("lines_text", "")),
        "text": str(item.facts.get("text") or item.facts.get("reason") or item.facts.get("what") or ""),
        "opened_at": item.opened_at,
        "changed_at": item.changed_at,
    }


def plain(facts: Mapping[str, Any]) -> Data:
    return {name: value for name, value in facts.items() if name in ("sums", "groups", "rows_here", "rows_there", "found", "closed", "text")}  # fmt: skip


def _day(order: Order, name: str = "date") -> str:
    text = str(order.get(name) or "")
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise TranslationError([Fault(name, "yyyy-MM-dd", text[:20] or "缺")], message_zh="日期有误，未办理")


def _month(order: Order) -> str:
    text = str(order.get("month") or "")
    if MONTH.fullmatch(text) is None:
        raise TranslationError([Fault("month", "yyyy-MM", text[:20] or "缺")], message_zh="月份有误，未办理")
    return text


def _texts(order: Order, *names: str) -> dict[str, str]:
    found = {name: str(order.get(name) or "").strip() for name in names}
    faults = [Fault(name, "文本", "缺") for name, value in found.items() if not value or len(value) > 200]
    if faults:
        raise TranslationError(faults, message_zh="内容不全，未办理")
    return found


def _rows(order: Order) -> list[list[str]]:
    rows = order.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TranslationError([Fault("rows", "表格：各行的列表，首行为标题", type(rows).__name__)])
    return [[str(cell) for cell in row] for row in rows]
