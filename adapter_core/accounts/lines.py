"""A settlement whose total differs, line by line: what the centre has of it (5203, and 5204 where it shows lines) beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from adapter_core.accounts.centre_desk import CentreDesk, NoAnswer
from adapter_core.accounts.differences import Difference
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Case
from adapter_core.values.money import MoneyError, fen, yuan

LINES_MAX = 200
NOT_SHOWN = "本线路未声明可用 5204 查询结算明细（fees_query），未逐条比对"
NO_ANSWER = "5204 未应答，未逐条比对"
NO_LINES = "5204 没有返回该笔结算的明细"
SAME = "5204 明细与本院逐条相符，差异不在明细"


class Lines:
    def __init__(self, files: FromFiles, desk: CentreDesk, place: Place) -> None:
        self._files = files
        self._desk = desk
        self._place = place

    async def beside(self, case: Case, found: Difference) -> dict[str, Any]:
        """Facts for the difference's record.  query: what 5203 says; lines: those that differ, with the amounts of both sides in
        yuan, "" on the side that lacks it; lines_text: why there are none.  Nothing of it is needed to freeze the case."""
        told = await self._files.ask(self._place, case, found.setl_id)
        facts: dict[str, Any] = {"query": told.kind, "query_text": told.text[:200]}
        if self._place.gateway.capabilities.fees_query == "unknown":
            return {**facts, "lines_text": NOT_SHOWN}
        psn_no, ours = await self._files.lines_of(case)
        try:
            theirs = await self._desk.lines(psn_no, found.mdtrt_id, found.setl_id)
        except NoAnswer:
            return {**facts, "lines_text": NO_ANSWER}
        if not theirs:
            return {**facts, "lines_text": NO_LINES}
        differing = compared(ours, theirs)
        more = f"，只列前 {LINES_MAX} 条" if len(differing) > LINES_MAX else ""
        text = f"{len(differing)} 条明细不符{more}" if differing else SAME
        return {**facts, "lines": differing[:LINES_MAX], "lines_text": text}


def compared(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The lines that differ, by ``feedetl_sn``.  Each row: feedetl_sn, med_list_codg, ours, centre."""
    sides = [_by_number(rows) for rows in (ours, theirs)]
    numbers = sorted(set(sides[0]) | set(sides[1]))
    rows = []
    for number in numbers:
        mine, other = (side.get(number) for side in sides)
        if mine is None or other is None or mine[1] is None or mine[1] != other[1]:
            code = (mine or other or ("", None))[0]
            rows.append({"feedetl_sn": number, "med_list_codg": code, "ours": _text(mine), "centre": _text(other)})
    return rows


def _by_number(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, int | None]]:
    """Number → item and amount in fen, None for an amount that can't be read; what is returned of a line is a row of its own."""
    found: dict[str, tuple[str, int | None]] = {}
    for row in rows:
        number = str(row.get("feedetl_sn") or "")
        before = found.get(number, ("", 0))[1]
        amount = _fen(row.get("det_item_fee_sumamt"))
        total = None if amount is None or before is None else before + amount
        found[number] = (str(row.get("med_list_codg") or ""), total)
    return found


def _fen(amount: Any) -> int | None:
    try:
        return fen(amount if isinstance(amount, Decimal) else yuan(str(amount)))
    except MoneyError:
        return None


def _text(side: tuple[str, int | None] | None) -> str:
    if side is None:
        return ""
    return "?" if side[1] is None else f"{Decimal(side[1]) / 100:.2f}"
