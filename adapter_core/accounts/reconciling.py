"""The daily reconciliation of one institution with the centre (`reliability.md` §10): totals, then the file where they differ.

A run may be killed anywhere and made again: what it found is recorded under ids that say what it is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

from adapter_core.accounts.acting import Acting, ItemLedger
from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.centre_desk import CentreDesk, NoAnswer, Totals
from adapter_core.accounts.differences import CLASSES, CLOSED, STANDING, TOPIC, made_id
from adapter_core.accounts.matching import Matching
from adapter_core.accounts.statement_file import BadFile, read_result, write_upload
from adapter_core.accounts.statement_form import StatementForm
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import AccountItem, Entry
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, NotSupported
from adapter_core.values.money import from_fen

RUN, ALARM = "run", "alarm"
BALANCED, DIFFERS, REFUSED, FAILED = "balanced", "differs", "refused", "failed"
"""How a run ended: the sums agree; differences were recorded; the centre's file was no statement; no usable answer came."""
SEEN_DAYS = 31
"""Groups that had settlements within so many days are asked for even when today has none: the centre may have some."""
PAGE = 500

GROUPS = (
    "SELECT insutype, clr_type, clr_optins, refunded, SUM(counted), SUM(total), SUM(fund), SUM(account) FROM ("
    "SELECT insutype, clr_type, clr_optins, CASE WHEN entry = 'void' THEN 1 ELSE 0 END AS refunded, "
    "CASE WHEN business_day = ? THEN 1 ELSE 0 END AS counted, "
    "CASE WHEN business_day = ? THEN total_fen ELSE 0 END AS total, "
    "CASE WHEN business_day = ? THEN fund_fen ELSE 0 END AS fund, "
    "CASE WHEN business_day = ? THEN acct_pay_fen ELSE 0 END AS account "
    "FROM {ledger}entries WHERE org = ? AND stands AND business_day BETWEEN ? AND ?) AS seen "
    "GROUP BY insutype, clr_type, clr_optins, refunded ORDER BY insutype, clr_type, clr_optins, refunded"
)
DOUBTS = (
    "SELECT COUNT(*) FROM {ledger}cases AS cases WHERE org = ? AND state IN "
    "('SENDING', 'CONFIRMING', 'RESOLVING', 'REVERSING', 'FROZEN')"
)


class AccountLedger(ItemLedger, Protocol):
    """What a run reads of the ledger beside the books."""

    async def entries_with_person(self, org: str, day: str, after: int, limit: int) -> list[tuple[int, Entry, str]]: ...


@dataclass(slots=True)
class Report:
    """One run.  sums: fen by name; found: differences by class; new: of them, those recorded for the first time."""

    org: str
    day: str
    state: str = BALANCED
    sums: dict[str, int] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    rows_here: int = 0
    rows_there: int = 0
    found: Counter[str] = field(default_factory=Counter)
    items: list[AccountItem] = field(default_factory=list)
    closed: int = 0
    text: str = ""

    def facts(self) -> dict[str, Any]:
        """As the run's record keeps it."""
        counts: Mapping[str, int] = self.found
        return {
            "sums": {
                name: str(value) if name == "count" else f"{from_fen(value):.2f}" for name, value in self.sums.items()
            },
            "groups": self.groups,
            "rows_here": str(self.rows_here),
            "rows_there": str(self.rows_there),
            "found": {code: str(count) for code, count in sorted(counts.items())},
            "closed": str(self.closed),
            "text": self.text,
        }


class Reconciling:
    def __init__(
        self, books: Books, ledger: AccountLedger, files: FromFiles, desk: CentreDesk, place: Place, form: StatementForm
    ) -> None:
        self._books = books
        self._ledger = ledger
        self._files = files
        self._desk = desk
        self._place = place
        self._form = form
        self._acting = Acting(ledger, files, place)

    async def run(self, day: str, phase: str = "asked", detail: bool = False) -> Report:
        """Reconcile a business day.  phase: ``T+0``, ``T+1`` or ``asked``; detail: fetch the file even where the sums agree.

        Raises: NotSupported for a day that went by several gateways.
        """
        report = Report(self._place.org, day)
        if self._place.ways.is_choice:
            await self._choose_way(day)
        try:
            with self._books.working() as working:
                await self._reconciled(working, report, detail)
        except (BadFile, NoAnswer) as error:
            report.state = REFUSED if isinstance(error, BadFile) else FAILED
            report.text = error.message_zh
            await self._alarm(day, report.state, error)
        await self._record(report, phase)
        return report

    async def _choose_way(self, day: str) -> None:
        """The centre of the gateway that the day's settlements went by is asked: before a cut-over the old one."""
        ways = sorted({await self._files.way_of(entry.case_id) async for entry, _ in self._entries(day)})
        if len(ways) > 1:
            listed = "、".join(ways)
            text = f"{day} 的结算走了多条线路（{listed}），不能自动对账，请按线路向医保中心核对"
            raise NotSupported(f"{day} went by {', '.join(ways)}", message_zh=text)
        if ways:
            self._place = self._place.via(ways[0])
            self._desk = self._desk.at(self._place)
            self._acting = Acting(self._ledger, self._files, self._place)

    async def _reconciled(self, working: Working, report: Report, detail: bool) -> None:
        groups = self._groups(working, report)
        differing = [group for group in groups if not await self._agrees(report, group)]
        in_doubt = next(iter(working.rows(DOUBTS.format(ledger=working.ledger), self._place.org)))[0]
        offices = {group.optins for group in differing}
        if detail or in_doubt:
            offices |= {group.optins for group in groups}
        found: set[str] = set()
        for optins in sorted(offices):
            found |= await self._detailed(working, report, optins, [one for one in groups if one.optins == optins])
        report.state = DIFFERS if found or differing else BALANCED
        await self._close_gone(report, found)

    def _groups(self, working: Working, report: Report) -> list[Totals]:
        day = report.day
        since = (date.fromisoformat(day) - timedelta(days=SEEN_DAYS)).isoformat()
        parameters = (day, day, day, day, self._place.org, since, day)
        rows = list(working.rows(GROUPS.format(ledger=working.ledger), *parameters))
        home = self._place.site.admdvs
        found = [
            Totals(insutype, clr_type, optins or home, bool(refunded), int(count), int(total), int(fund), int(account))
            for insutype, clr_type, optins, refunded, count, total, fund, account in rows
        ] or [Totals("310", "11", home, False, 0, 0, 0, 0)]
        names = ("total", "fund", "account")
        report.sums = {
            "count": sum(one.count for one in found),
            **{name: sum(getattr(one, f"{name}_fen") for one in found) for name in names},
        }
        return _grouped(found, self._form.grouping)

    async def _agrees(self, report: Report, group: Totals) -> bool:
        """One 3201.  Raises: NoAnswer."""
        agrees, text = await self._desk.totals_agree(report.day, _sized(group))
        kind = "" if group.refunded is None else "退费" if group.refunded else "结算"
        report.groups.append(
            {
                "insutype": group.insutype,
                "clr_type": group.clr_type,
                "setl_optins": group.optins,
                "kind": kind,
                "count": str(group.count),
                "total": f"{from_fen(group.total_fen):.2f}",
                "fund": f"{from_fen(group.fund_fen):.2f}",
                "agrees": agrees,
                "centre": text,
            }
        )
        return agrees

    async def _detailed(self, working: Working, report: Report, optins: str, groups: list[Totals]) -> set[str]:
        """The ids of the differences that the file of one clearing office shows.  Raises: NoAnswer, BadFile."""
        home = self._place.site.admdvs
        rows, cash = [], 0
        async for entry, psn_no in self._entries(report.day):
            if (entry.clr_optins or home) == optins:
                rows.append(_uploaded(entry, psn_no))
                cash += entry.cash_fen
        uploaded = write_upload(rows, self._form)
        del rows
        sums = {
            "total": sum(one.total_fen for one in groups),
            "fund": sum(one.fund_fen for one in groups),
            "cash": cash,
            "count": sum(one.count for one in groups),
        }
        file = await self._desk.statement(report.day, optins, uploaded, sums)
        del uploaded
        matching = Matching(working, self._place.org, report.day, optins, home)
        here, there = matching.read(read_result(file, self._form), self._form)
        report.rows_here += here
        report.rows_there += there
        found = set()
        for one in list(matching.differences()):
            item = await self._acting.act(one)
            report.found[item.subject] += 1
            report.items.append(item)
            found.add(item.item_id)
            if CLASSES[one.code].incident:
                await self._incident(item)
        return found

    async def _entries(self, day: str) -> AsyncIterator[tuple[Entry, str]]:
        after = 0
        while page := await self._ledger.entries_with_person(self._place.org, day, after, PAGE):
            for _, entry, psn_no in page:
                yield entry, psn_no
            after = page[-1][0]

    async def _close_gone(self, report: Report, found: set[str]) -> None:
        """Differences of the day that no longer show: balance closes them, not the reply to a reversal."""
        standing = await self._ledger.account_items(self._place.org, TOPIC, STANDING, report.day)
        for item in standing:
            if item.item_id not in found:
                closed = replace(item, state=CLOSED, version=item.version + 1, changed_at=self._files.stamp())
                await self._noted(closed)
                report.closed += 1

    async def _incident(self, item: AccountItem) -> None:
        kind = CLASSES[item.subject]
        await self._alarmed(made_id(item.org, ALARM, item.item_id), item.day, item.subject, f"{item.day} {kind.title}")

    async def _alarm(self, day: str, state: str, error: AdapterError) -> None:
        """One for each bad file of a day, however often it comes."""
        number = made_id(self._place.org, ALARM, day, state, error.message_zh)
        await self._alarmed(number, day, state, f"{day} {error.message_zh}")

    async def _alarmed(self, number: str, day: str, subject: str, text: str) -> None:
        if await self._ledger.account_item(number) is not None:
            return
        now = self._files.stamp()
        facts = {"text": text}
        item = AccountItem(
            number, self._place.org, ALARM, subject, day, "open", opened_at=now, changed_at=now, facts=facts
        )
        await self._noted(item)

    async def _record(self, report: Report, phase: str) -> None:
        """The run itself: one record for each day and phase, the newest counts."""
        number = made_id(report.org, RUN, report.day, phase)
        known = await self._ledger.account_item(number)
        now = self._files.stamp()
        item = AccountItem(
            item_id=number,
            org=report.org,
            topic=RUN,
            subject=phase,
            day=report.day,
            state=report.state,
            amount_fen=report.sums.get("total"),
            opened_at=known.opened_at if known else now,
            changed_at=now,
            version=known.version + 1 if known else 1,
            facts=report.facts(),
        )
        await self._noted(item)

    async def _noted(self, item: AccountItem) -> None:
        try:
            await self._files.noted(item)
        except Conflict:
            return  # another replica ran the same day and wrote it first


def _grouped(found: list[Totals], grouping: tuple[str, ...]) -> list[Totals]:
    """The groups as this gateway is asked: what the grouping leaves out is summed up."""
    sums: dict[tuple[str, str, str, bool | None], list[int]] = {}
    for one in found:
        key = (
            one.insutype if "insutype" in grouping else "",
            one.clr_type if "clr_type" in grouping else "",
            one.optins,
            one.refunded if "refd_setl_flag" in grouping else None,
        )
        row = sums.setdefault(key, [0, 0, 0, 0])
        for place, value in enumerate((one.count, one.total_fen, one.fund_fen, one.account_fen)):
            row[place] += value
    return [Totals(*key, *row) for key, row in sums.items()]


def _sized(group: Totals) -> Totals:
    """Refunds apart are told by their size; in a net group they are negative already."""
    if not group.refunded:
        return group
    return replace(group, total_fen=-group.total_fen, fund_fen=-group.fund_fen, account_fen=-group.account_fen)


def _uploaded(entry: Entry, psn_no: str) -> tuple[str, str, str, int, int, int, bool]:
    sizes = (abs(entry.total_fen), abs(entry.fund_fen), abs(entry.acct_pay_fen))
    return (entry.setl_id, entry.mdtrt_id, psn_no, *sizes, entry.entry == "void")
