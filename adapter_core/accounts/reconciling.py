"""The daily reconciliation of one institution with its centres (`reliability.md` §10): totals, then the file where they differ.

A run may be killed anywhere and made again: what it found is recorded under ids that say what it is about.  A day that went by several
gateways is reconciled with each one's centre apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adapter_core.accounts.books import Books, Working
from adapter_core.accounts.centre_desk import CentreDesk, Desks, NoAnswer, Totals
from adapter_core.accounts.day_sums import (
    DOUBTS,
    OLD_WAYS,
    UNNAMED,
    columns,
    days_before,
    earlier_groups,
    groups_in,
    groups_of,
)
from adapter_core.accounts.differences import CLASSES, CLOSED, STANDING, TOPIC, made_id
from adapter_core.accounts.one_centre import AccountLedger, Found, OneCentre
from adapter_core.accounts.statement_file import BadFile
from adapter_core.accounts.statement_form import StatementForm
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict
from adapter_core.settlement.records import AccountItem
from adapter_core.settlement.unfiled import Doubted
from adapter_core.settlement.ways import GatewayGone
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, NotSupported
from adapter_core.values.moments import iso, national_date, parse_national_time
from adapter_core.values.money import from_fen

RUN, ALARM = "run", "alarm"
BALANCED, DIFFERS, PARTLY, REFUSED, FAILED = "balanced", "differs", "partly", "refused", "failed"
"""How a run ended: the sums agree; differences were recorded; a gateway's part can't be reconciled by itself; a centre's file was no
statement; no usable answer came.  Of several gateways the last of these counts."""
SEVERITY = (BALANCED, DIFFERS, PARTLY, REFUSED, FAILED)
Forms = Callable[[str], StatementForm]
"""How a gateway, by its name, writes and reads statements."""


@dataclass(slots=True)
class Report:
    """One run.  sums: fen by name; found: differences by class."""

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

    def came_to(self, state: str, text: str = "") -> None:
        """One centre's end, beside those of the others."""
        self.state = max(self.state, state, key=SEVERITY.index)
        self.text = "；".join(one for one in (self.text, text) if one)


@dataclass(slots=True)
class Part:
    """One gateway's part of a day.  groups: its entries' sums, and the empty ones that are asked all the same."""

    groups: list[Totals] = field(default_factory=list)
    entries: int = 0
    doubts: list[Doubted] = field(default_factory=list)


class Reconciling:
    def __init__(
        self,
        books: Books,
        ledger: AccountLedger,
        files: FromFiles,
        desks: Desks,
        place: Place,
        forms: Forms,
    ) -> None:
        self._books = books
        self._ledger = ledger
        self._files = files
        self._desks = desks
        self._place = place
        self._forms = forms

    async def run(self, day: str, phase: str = "asked", detail: bool = False) -> Report:
        """Reconcile a business day.  phase: ``T+0``, ``T+1`` or ``asked``; detail: fetch the file even where the sums agree.

        Raises: NotSupported where none of the day's gateways can be reconciled with.
        """
        report = Report(self._place.org, day)
        with self._books.working() as working:
            working.run(OLD_WAYS)
            old_ways = await self._old_ways(working, day)
            parts = await self._parts(working, report)
            unable = 0
            for way in sorted(parts):
                try:
                    place, desk = self._centre(way)
                except (GatewayGone, NotSupported) as error:
                    unable += 1
                    if unable == len(parts):
                        raise
                    report.came_to(PARTLY, f"{way}：{error.message_zh}")
                    continue
                form = self._forms(way or self._place.way)
                centre = OneCentre(working, self._ledger, self._files, desk, place, form, day, way, old_ways)
                await self._one_centre(centre, report, way, parts[way], detail)
        await self._record(report, phase)
        return report

    def _centre(self, way: str) -> tuple[Place, CentreDesk]:
        """Raises: GatewayGone, NotSupported."""
        place = self._place.via(way) if way else self._place
        return place, self._desks(place)

    async def _one_centre(self, centre: OneCentre, report: Report, way: str, part: Part, detail: bool) -> None:
        day = report.day
        # before anything is asked: what is read of the doubts now was so when the file was made
        doubts = [one for one in part.doubts if day in one.days]
        is_closed = self._files.stamp() >= self._closed_from(day, way)
        try:
            found = await centre.reconcile(part.groups, doubts, is_closed, detail)
        except (BadFile, NoAnswer) as error:
            state = REFUSED if isinstance(error, BadFile) else FAILED
            if way and state == FAILED and not part.entries and not part.doubts:
                state = PARTLY  # nothing of ours went there today, and a centre that was switched off answers no more
            report.came_to(state, f"{way}：{error.message_zh}" if way else error.message_zh)
            if state != PARTLY:
                await self._alarm(day, state, error)
            return
        await self._entered(report, found)
        await self._close_gone(report, way, {item.item_id for item in found.items})

    async def _entered(self, report: Report, found: Found) -> None:
        report.groups += found.groups
        report.rows_here += found.rows_here
        report.rows_there += found.rows_there
        report.items += found.items
        for item in found.items:
            report.found[item.subject] += 1
            if CLASSES[item.subject].incident:
                await self._incident(item)
        report.came_to(DIFFERS if found.items or found.differs else BALANCED)

    def _closed_from(self, day: str, way: str) -> str:
        """When the centre's file of a day is whole, RFC 3339."""
        after = date.fromisoformat(day) + timedelta(days=1)
        return iso(parse_national_time(f"{after.isoformat()} {self._forms(way or self._place.way).closed_at}:00"))

    # what went where

    @property
    def _several(self) -> bool:
        return len(self._place.ways.named) > 1

    async def _old_ways(self, working: Working, day: str) -> dict[str, str]:
        """The gateways of the day's entries that were booked before an entry said its own."""
        if not self._several:
            return {}
        unnamed = list(working.rows(UNNAMED.format(ledger=working.ledger), self._place.org, day))
        found = {entry_id: await self._files.way_of(case_id) for entry_id, case_id in unnamed}
        working.load("old_ways", ("entry_id", "way"), found.items())
        return found

    async def _parts(self, working: Working, report: Report) -> dict[str, Part]:
        """By gateway ("" where the institution has only one): today's groups, those of the days before, the doubts."""
        org, day, home = self._place.org, report.day, self._place.site.admdvs
        today = groups_of(working, org, day, home)
        report.sums = columns(group for _, group in today)
        parts: defaultdict[str, Part] = defaultdict(Part)
        for way, group in today:
            part = parts[self._named(way)]
            part.groups.append(group)
            part.entries += group.count
        ids = [case_id for (case_id,) in list(working.rows(DOUBTS.format(ledger=working.ledger), org))]
        for doubt in await self._files.doubts(self._place, ids):
            if day in doubt.days:
                parts[self._named(doubt.way)].doubts.append(doubt)
        for way, group in await self._seen(working, day):
            name = self._named(way)
            if name in parts or self._may_be_asked(name, day):
                parts[name].groups.append(group)
        return dict(parts) or {self._named(""): Part()}

    def _named(self, way: str) -> str:
        return (way or self._place.ways.usual) if self._several else ""

    def _may_be_asked(self, way: str, day: str) -> bool:
        """Whether a gateway that nothing of the day went by is asked all the same: not after it was switched off."""
        over = [one for one in self._place.ways.cutovers if one.source == way and national_date(one.at) < day]
        return not way or (way in self._place.ways.named and not over)

    async def _seen(self, working: Working, day: str) -> list[tuple[str, Totals]]:
        """Groups of the days before: a centre may have today what we have nothing of."""
        runs = []
        for before in days_before(day):
            runs += await self._ledger.account_items(self._place.org, RUN, (), before)
        if runs:
            return sorted(set(groups_in(runs)), key=repr)
        return earlier_groups(working, self._place.org, day, self._place.site.admdvs)

    # what is recorded

    async def _close_gone(self, report: Report, way: str, found: set[str]) -> None:
        """Differences of the day that no longer show: balance closes them, not the reply to a reversal."""
        standing = await self._ledger.account_items(self._place.org, TOPIC, STANDING, report.day)
        for item in standing:
            if item.item_id not in found and self._named(str(item.facts.get("way", ""))) == way:
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
