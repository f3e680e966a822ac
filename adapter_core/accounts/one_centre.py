"""One business day before one centre: 3201 for each group, the file of each clearing office where they differ, and what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapter_core.accounts.acting import Acting, ItemLedger
from adapter_core.accounts.books import Working
from adapter_core.accounts.centre_desk import CentreDesk, Totals
from adapter_core.accounts.day_sums import columns, empty, group_of, grouped, key_of
from adapter_core.accounts.matching import Matching
from adapter_core.accounts.statement_file import read_result, upload_line, write_upload
from adapter_core.accounts.statement_form import StatementForm
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import AccountItem
from adapter_core.settlement.unfiled import Doubted
from adapter_core.values.copies import replace
from adapter_core.values.money import from_fen

PAGE = 500


class AccountLedger(ItemLedger, Protocol):
    """What a run reads of the ledger beside the books."""

    async def entries_to_file(
        self, org: str, day: str, offices: Sequence[str], after: int, limit: int
    ) -> list[tuple[Any, ...]]: ...


@dataclass(slots=True)
class Found:
    """What one centre's side of a day came to.  groups: as they were asked, for the run's record."""

    groups: list[dict[str, Any]] = field(default_factory=list)
    rows_here: int = 0
    rows_there: int = 0
    items: list[AccountItem] = field(default_factory=list)
    differs: bool = False


class OneCentre:
    """way: the gateway's name where the institution has several, else ""; old_ways: of entries that don't say theirs."""

    def __init__(
        self,
        working: Working,
        ledger: AccountLedger,
        files: FromFiles,
        desk: CentreDesk,
        place: Place,
        form: StatementForm,
        day: str,
        way: str,
        old_ways: dict[str, str],
    ) -> None:
        self._working = working
        self._ledger = ledger
        self._files = files
        self._desk = desk
        self._place = place
        self._form = form
        self._day = day
        self._way = way
        self._old_ways = old_ways
        self._acting = Acting(ledger, files, desk, place)
        self._home = place.site.admdvs
        self._agreeing: dict[tuple[str, str, str, bool | None], bool] = {}
        self._whole: dict[tuple[str, str, str, bool | None], bool] = {}

    async def reconcile(self, raw: Iterable[Totals], doubts: list[Doubted], is_closed: bool, detail: bool) -> Found:
        """raw: the day's groups and those to be asked empty; doubts: the money calls that this day's file could name; is_closed: its
        file is whole by now.  Raises: NoAnswer, BadFile."""
        found = Found()
        asked = [*raw, *(group_of(one, self._home) for one in doubts if one.insutype)]
        groups = grouped(asked or [empty("310", "11", self._home, False)], self._form.grouping)
        for group in groups:
            agrees, text = await self._desk.totals_agree(self._day, sized(group))
            self._agreeing[key_of(group, self._form.grouping)] = agrees
            found.groups.append(self._told(group, agrees, text))
        offices = {one.optins for one in groups if not self._agreeing[key_of(one, self._form.grouping)]}
        found.differs = bool(offices)
        if detail or doubts:
            offices |= {one.optins for one in groups}
        for optins in sorted(offices):
            in_office = [one for one in groups if one.optins == optins]
            matching = await self._matched(optins, in_office, found)
            for difference in await asyncio.to_thread(lambda made: list(made.differences()), matching):
                found.items.append(await self._acting.act(difference))
            if is_closed:
                await self._note_absent(matching, optins, in_office, doubts)
        return found

    def _told(self, group: Totals, agrees: bool, text: str) -> dict[str, Any]:
        """As the run's record keeps it."""
        kind = "" if group.refunded is None else "退费" if group.refunded else "结算"
        return {
            **({"way": self._way} if self._way else {}),
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

    async def _matched(self, optins: str, groups: list[Totals], found: Found) -> Matching:
        """The office's file, read and paired.  Raises: NoAnswer, BadFile."""
        uploaded, cash = await self._uploaded(optins)
        file = await self._desk.statement(self._day, optins, uploaded, {**columns(groups), "cash": cash})
        del uploaded
        matching = Matching(self._working, self._place.org, self._day, optins, self._home, self._way)
        # beside the event loop: patients are served meanwhile
        here, there = await asyncio.to_thread(lambda: matching.read(read_result(file, self._form), self._form))
        found.rows_here += here
        found.rows_there += there
        return matching

    async def _uploaded(self, optins: str) -> tuple[bytes, int]:
        """The file to be uploaded for an office, and the sum of its cash in fen."""
        offices = (optins, "") if optins == self._home else (optins,)
        lines, cash, after = [], 0, 0
        while page := await self._ledger.entries_to_file(self._place.org, self._day, offices, after, PAGE):
            after = page[-1][0]
            for _, entry_id, way, refunded, setl_id, mdtrt_id, *fens, cash_fen, psn_no in page:
                if self._way not in ("", way or self._old_ways.get(entry_id, "")):
                    continue
                total, fund, account = map(abs, fens)
                lines.append(
                    upload_line((setl_id, mdtrt_id, psn_no), (total, fund, account), bool(refunded), self._form)
                )
                cash += cash_fen
            await asyncio.sleep(0)  # reading awaits nothing where the ledger is a file
        return write_upload(lines, self._form), cash

    async def _note_absent(self, matching: Matching, optins: str, groups: list[Totals], doubts: list[Doubted]) -> None:
        """Evidence E4: the calls that this office's file would name if the centre had them, and does not."""
        grouping = self._form.grouping
        for doubt in doubts:
            group = group_of(doubt, self._home)
            if not (doubt.quiet and doubt.insutype and group.optins == optins) or matching.may_name(doubt):
                continue
            whole = next(one for one in groups if key_of(one, grouping) == key_of(group, grouping))
            if matching.lists_all(whole) and await self._is_whole(matching, whole, groups):
                await self._files.absent(doubt, self._day)

    async def _is_whole(self, matching: Matching, group: Totals, groups: list[Totals]) -> bool:
        """Whether the file holds all the centre has of a group, by the centre's own word: 3201 agrees with our sums, or with what the
        file lists.  The file doesn't say which group a row that only the centre has is of, so only one group may differ."""
        key = key_of(group, self._form.grouping)
        if self._agreeing[key]:
            return True
        differing = [
            one
            for one in groups
            if one.refunded == group.refunded and not self._agreeing[key_of(one, self._form.grouping)]
        ]
        if len(differing) > 1:
            return False
        if key not in self._whole:
            self._whole[key], _ = await self._desk.totals_agree(self._day, matching.listed(group))
        return self._whole[key]


def sized(group: Totals) -> Totals:
    """Refunds apart are told by their size; in a net group they are negative already."""
    if not group.refunded:
        return group
    return replace(group, total_fen=-group.total_fen, fund_fen=-group.fund_fen, account_fen=-group.account_fen)
