"""The classes of differences between the centre's books and ours, and what is done about each (`reliability.md` §10)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

TOPIC = "difference"
OPEN, WAITING, FROZEN, CLOSED, EXPLAINED = "open", "waiting", "frozen", "closed", "explained"
"""States of a difference: for a person; the case's driver acts on it; the case is frozen; gone at a later run; a person said why."""
STANDING = (OPEN, WAITING, FROZEN)


class Act(StrEnum):
    """What is done at once.  ``evidence``: E4 into the case; ``freeze``: a person decides the case; ``ask_then_freeze``: 5203
    first; ``note``: a work order, nothing else is touched."""

    EVIDENCE = "evidence"
    FREEZE = "freeze"
    ASK_THEN_FREEZE = "ask_then_freeze"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class DifferenceClass:
    """code: stable; title, advice: for the insurance office.  incident: somebody is called."""

    code: str
    title: str
    act: Act
    advice: str
    incident: bool = False


CLASSES = {
    one.code: one
    for one in (
        DifferenceClass(
            "found_in_doubt", "中心有、本院结果未知", Act.EVIDENCE, "已作为证据 E4 交给核实程序，自动认领或冲正"
        ),
        DifferenceClass(
            "found_reversing", "中心仍有、本院正在冲正", Act.EVIDENCE, "可冲正期内自动再次冲正，过期转人工，绝不认领"
        ),
        DifferenceClass(
            "found_disproved",
            "中心有、本院记为未成立",
            Act.FREEZE,
            "与本院证明相反，属事故：已冻结待裁定",
            incident=True,
        ),
        DifferenceClass("found_frozen", "中心有、本院待裁定", Act.EVIDENCE, "裁定时以此为据；选“重新核实”可自动认领"),
        DifferenceClass("other_day", "两边业务日期不同", Act.NOTE, "结算有效，仅入账日不同；核对清算所属日"),
        DifferenceClass(
            "refunded_elsewhere",
            "中心已退费、本院未退",
            Act.ASK_THEN_FREEZE,
            "可能在其他终端或经办窗口退费：已冻结待裁定",
        ),
        DifferenceClass(
            "foreign_same_visit", "同一就诊另有一笔非本系统结算", Act.NOTE, "绝不触动；请核对是否其他终端重复结算"
        ),
        DifferenceClass("foreign", "中心有、非本系统发出", Act.NOTE, "绝不触动；请向其他终端或科室核实"),
        DifferenceClass(
            "ours_only", "本院有、中心无", Act.ASK_THEN_FREEZE, "已向中心查询；不重发；发票由本院保管待裁定"
        ),
        DifferenceClass(
            "refund_ours_only",
            "本院已退费、中心无退费",
            Act.NOTE,
            "患者可能已收回现金：请向中心核实退费",
            incident=True,
        ),
        DifferenceClass("total_differs", "总额不符", Act.FREEZE, "已冻结，附中心查询结果，请核对后裁定"),
        DifferenceClass("split_differs", "总额相符、分担不符", Act.NOTE, "结算有效；按中心分担调账"),
        DifferenceClass("flag_differs", "结算与退费标志不符", Act.ASK_THEN_FREEZE, "已冻结，请核对后裁定"),
        DifferenceClass("listed_twice", "中心文件重复列出", Act.NOTE, "请中心更正对账文件"),
    )
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference as it was found.  entry_id, case_id: ours, "" where there is none; amounts in fen; None on a side without row;
    way: the gateway whose centre it is about, where the institution has several."""

    code: str
    day: str
    msgid: str
    setl_id: str
    mdtrt_id: str
    refunded: bool
    case_id: str
    entry_id: str
    state: str
    ours_total: int | None
    ours_fund: int | None
    ours_account: int | None
    total: int | None
    fund: int | None
    account: int | None
    line: int
    memo: str = ""
    way: str = ""

    def item_id(self, org: str) -> str:
        """The same difference of the same day is the same record, however often it is found."""
        if self.code.startswith("found_"):  # acting on it moves our case, and with it the class
            return made_id(org, TOPIC, self.day, "found", self.msgid)
        twice = str(self.line) if self.code == "listed_twice" else ""
        row = self.entry_id or self.setl_id or self.msgid
        # two centres may number alike
        other_centre = (self.way,) if self.way and not self.entry_id else ()
        return made_id(org, TOPIC, self.day, self.code, row, twice, *other_centre)


def made_id(*parts: str) -> str:
    """An id that says what it is about: the same parts give the same one."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]
