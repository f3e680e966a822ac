"""Matching a day of the ledger with the centre's file, in SQL: nothing is compared row by row here.

Join on msgid, then on setl_id (`reliability.md` §10); whose a row without a match is, the journalled calls say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from adapter_core.accounts.books import Working
from adapter_core.accounts.centre_desk import Totals
from adapter_core.accounts.day_sums import WENT_BY
from adapter_core.accounts.differences import Difference
from adapter_core.accounts.statement_file import BadFile, CentreRow
from adapter_core.accounts.statement_form import StatementForm
from adapter_core.settlement.unfiled import Doubted
from adapter_core.values.copies import replace

CENTRE = (
    "CREATE TEMP TABLE centre (line BIGINT PRIMARY KEY, psn_no TEXT, mdtrt_id TEXT, setl_id TEXT, msgid TEXT, rslt TEXT, "
    "refunded INTEGER, memo TEXT, total BIGINT, fund BIGINT, account BIGINT, entry_id TEXT)"
)
OURS = (
    "CREATE TEMP TABLE ours AS SELECT entry_id, case_id, setl_id, msgid, mdtrt_id, "
    "insutype, clr_type, CASE WHEN entry = 'void' THEN 1 ELSE 0 END AS refunded, ABS(total_fen) AS total, "
    "ABS(fund_fen) AS fund, ABS(acct_pay_fen) AS account FROM {ledger}entries AS entries "
    "WHERE org = ? AND business_day = ? AND stands AND (clr_optins = ? OR (clr_optins = '' AND ? = ?)) "
    "AND (? = '' OR " + WENT_BY + " = ?)"
)
INDEXES = (
    "CREATE INDEX ours_msgid ON ours (msgid)",
    "CREATE INDEX ours_setl_id ON ours (setl_id)",
    "CREATE INDEX ours_entry ON ours (entry_id)",
)
BY_MSGID = (
    "UPDATE centre SET entry_id = (SELECT MIN(entry_id) FROM ours WHERE ours.msgid = centre.msgid) WHERE msgid <> ''"
)
CENTRE_ENTRY = "CREATE INDEX centre_entry ON centre (entry_id)"
BY_SETL_ID = (
    "UPDATE centre SET entry_id = (SELECT MIN(ours.entry_id) FROM ours WHERE ours.setl_id = centre.setl_id AND NOT EXISTS "
    "(SELECT 1 FROM centre AS paired WHERE paired.entry_id = ours.entry_id)) WHERE entry_id IS NULL AND setl_id <> ''"
)

IN_DOUBT = "('SENDING', 'CONFIRMING', 'RESOLVING')"
BOOKED = "('SETTLED', 'VOIDING', 'VOIDED')"

PAIRED = (
    "SELECT * FROM (SELECT CASE WHEN centre.line > (SELECT MIN(line) FROM centre AS first WHERE first.entry_id = centre.entry_id) "
    "THEN 'listed_twice' WHEN centre.refunded <> ours.refunded THEN 'flag_differs' "
    "WHEN centre.total <> ours.total THEN 'total_differs' "
    "WHEN centre.fund <> ours.fund OR centre.account <> ours.account THEN 'split_differs' ELSE '' END AS code, "
    "ours.msgid, ours.setl_id, ours.mdtrt_id, centre.refunded, ours.case_id, ours.entry_id, cases.state, "
    "ours.total AS ours_total, ours.fund AS ours_fund, ours.account AS ours_account, "
    "centre.total, centre.fund, centre.account, centre.line, centre.memo "
    "FROM centre JOIN ours ON ours.entry_id = centre.entry_id "
    "JOIN {ledger}cases AS cases ON cases.case_id = ours.case_id) AS paired WHERE code <> '' ORDER BY line"
)
CENTRE_ONLY = (
    "SELECT CASE WHEN calls.case_id IS NULL THEN CASE "
    "WHEN EXISTS (SELECT 1 FROM {ledger}entries AS known WHERE known.org = ? AND known.setl_id = centre.setl_id "
    "AND (? = '' OR known.way IN (?, '')) "
    "AND known.stands AND centre.setl_id <> '') THEN 'other_day' "
    "WHEN visit.entry_id IS NULL THEN 'foreign' "
    "WHEN centre.refunded = 1 AND ABS(visit.total_fen) = centre.total THEN 'refunded_elsewhere' ELSE 'foreign_same_visit' END "
    "WHEN cases.state = 'REVERSING' OR (calls.burnt AND cases.state IN " + IN_DOUBT + ") THEN 'found_reversing' "
    "WHEN cases.state IN " + IN_DOUBT + " THEN 'found_in_doubt' "
    "WHEN cases.state = 'FROZEN' THEN 'found_frozen' "
    "WHEN cases.state IN " + BOOKED + " THEN 'other_day' ELSE 'found_disproved' END AS code, "
    "centre.msgid, centre.setl_id, centre.mdtrt_id, centre.refunded, "
    "COALESCE(cases.case_id, visit.case_id, '') AS case_id, '' AS entry_id, COALESCE(cases.state, '') AS state, "
    "ABS(visit.total_fen) AS ours_total, ABS(visit.fund_fen) AS ours_fund, ABS(visit.acct_pay_fen) AS ours_account, "
    "centre.total, centre.fund, centre.account, centre.line, centre.memo FROM centre "
    "LEFT JOIN {ledger}calls AS calls ON calls.org = ? AND calls.msgid = centre.msgid AND centre.msgid <> '' "
    "AND calls.kind_class IN ('N', 'K') AND calls.case_id <> '' "
    "LEFT JOIN {ledger}cases AS cases ON cases.case_id = calls.case_id "
    "LEFT JOIN {ledger}entries AS visit ON calls.case_id IS NULL AND visit.entry_id = ("
    "SELECT MIN(same.entry_id) FROM {ledger}entries AS same WHERE same.org = ? AND same.mdtrt_id = centre.mdtrt_id "
    "AND (? = '' OR same.way IN (?, '')) "
    "AND same.mdtrt_id <> '' AND same.entry = 'settle' AND same.stands) "
    "WHERE centre.entry_id IS NULL ORDER BY centre.line"
)
OURS_ONLY = (
    "SELECT CASE WHEN ours.refunded = 1 THEN 'refund_ours_only' ELSE 'ours_only' END AS code, ours.msgid, ours.setl_id, "
    "ours.mdtrt_id, ours.refunded, ours.case_id, ours.entry_id, cases.state, ours.total, ours.fund, ours.account, "
    "NULL, NULL, NULL, 0, '' FROM ours JOIN {ledger}cases AS cases ON cases.case_id = ours.case_id "
    "WHERE NOT EXISTS (SELECT 1 FROM centre WHERE centre.entry_id = ours.entry_id) ORDER BY ours.entry_id"
)
COUNTS = (
    "SELECT (SELECT COUNT(*) FROM ours), (SELECT COUNT(*) FROM centre), (SELECT COUNT(*) FROM ours WHERE NOT EXISTS "
    "(SELECT 1 FROM centre WHERE centre.entry_id = ours.entry_id))"
)
NAMED = "SELECT COUNT(*) FROM centre WHERE msgid = ?"
UNCLEAR = "SELECT COUNT(*) FROM centre WHERE entry_id IS NULL AND (msgid = '' OR (mdtrt_id = ? AND mdtrt_id <> ''))"
OF_GROUP = "(? = '' OR ours.insutype = ?) AND (? = '' OR ours.clr_type = ?)"
NOT_LISTED = (
    f"SELECT COUNT(*) FROM ours WHERE {OF_GROUP} AND (? < 0 OR ours.refunded = ?) "
    "AND NOT EXISTS (SELECT 1 FROM centre WHERE centre.entry_id = ours.entry_id)"
)
LISTED = (
    "SELECT COUNT(*), COALESCE(SUM(sign * total), 0), COALESCE(SUM(sign * fund), 0), COALESCE(SUM(sign * account), 0) FROM ("
    "SELECT CASE WHEN centre.refunded = 1 AND ? < 0 THEN -1 ELSE 1 END AS sign, centre.total, centre.fund, centre.account "
    "FROM centre LEFT JOIN ours ON ours.entry_id = centre.entry_id WHERE (? < 0 OR centre.refunded = ?) "
    f"AND (ours.entry_id IS NULL OR ({OF_GROUP}))) AS listed"
)


class Matching:
    """One file against one day and one clearing office of an institution."""

    def __init__(self, working: Working, org: str, day: str, optins: str, home: str, way: str = "") -> None:
        """home: the office of entries that name none; way: whose entries alone are compared, "" for all."""
        self._way = way
        self._working = working
        self._org = org
        self._day = day
        self._optins = optins
        self._home = home

    def read(self, rows: Iterable[CentreRow], form: StatementForm) -> tuple[int, int]:
        """Take the whole file in and pair it; returns how many rows there are here and there.

        Raises: BadFile; then nothing was concluded from any of it.
        """
        work = self._working
        for table in ("centre", "ours"):
            work.run(f"DROP TABLE IF EXISTS {table}")
        work.run(CENTRE)
        work.load("centre", CentreRow._fields, rows)
        office = (self._optins, self._optins, self._home, self._way, self._way)
        work.run(OURS.format(ledger=work.ledger), self._org, self._day, *office)
        for statement in (*INDEXES, BY_MSGID, CENTRE_ENTRY, BY_SETL_ID):
            work.run(statement)
        [(ours, centre, missing)] = list(work.rows(COUNTS))
        if missing > max(form.missing_rows, form.missing_share * ours):
            raise BadFile(f"文件缺少本院 {ours} 笔中的 {missing} 笔，不像当日完整的对账文件")
        return ours, centre

    def differences(self) -> Iterator[Difference]:
        """What differs: pairs first, then what only the centre has, then what only we have."""
        ledger, org = self._working.ledger, self._org
        yield from self._found(PAIRED.format(ledger=ledger))
        way = (self._way, self._way)
        yield from self._found(CENTRE_ONLY.format(ledger=ledger), org, *way, org, org, *way)
        yield from self._found(OURS_ONLY.format(ledger=ledger))

    def _found(self, statement: str, *parameters: Any) -> Iterator[Difference]:
        for row in self._working.rows(statement, *parameters):
            code, msgid, setl_id, mdtrt_id, refunded, *rest = row
            yield Difference(code, self._day, msgid, setl_id, mdtrt_id, bool(refunded), *[*rest, self._way])

    # of what the file does not name

    def may_name(self, doubt: Doubted) -> bool:
        """Whether the file names the call, or has a row that could be it: of its visit, or without a msgid, and nobody's."""
        [[named]] = self._working.rows(NAMED, doubt.msgid)
        [[unclear]] = self._working.rows(UNCLEAR, doubt.mdtrt_id)
        return bool(named or unclear)

    def lists_all(self, group: Totals) -> bool:
        """Whether each of our own lines of the group stands in the file."""
        side = -1 if group.refunded is None else int(group.refunded)
        kinds = (group.insutype, group.insutype, group.clr_type, group.clr_type)
        [[missing]] = self._working.rows(NOT_LISTED, *kinds, side, side)
        return not missing

    def listed(self, group: Totals) -> Totals:
        """The group as the file has it: its own rows, and every row that is nobody's."""
        side = -1 if group.refunded is None else int(group.refunded)
        kinds = (group.insutype, group.insutype, group.clr_type, group.clr_type)
        [[count, *fens]] = self._working.rows(LISTED, side, side, side, *kinds)
        total, fund, account = map(int, fens)
        return replace(group, count=int(count), total_fen=total, fund_fen=fund, account_fen=account)
