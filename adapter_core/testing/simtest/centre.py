"""A fast model of a national centre.  Its temperament is what it truly does, always inside what the gateway declares.

It answers neutral requests; `lanes` puts them into bytes.  Amounts are whole fen here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from adapter_core.values.copies import replace
from adapter_core.values.moments import national_date

TRIALS = frozenset({"2206", "2303", "2101"})
SETTLEMENTS = frozenset({"2207", "2304", "2102"})
REFUNDS = frozenset({"2208", "2305", "2103"})
REVERSAL = "2601"
SALE = "2102"
MONEY = SETTLEMENTS | REFUNDS
CONFIRM, ABORT = "49CO", "49AB"
"""The second phase of a two-phase family; invented numbers."""
CHANGING = MONEY | {REVERSAL, CONFIRM, ABORT}

DEFINITE = "没有获取到异地备案信息!"
ALREADY = "当前处方已结算，无需再次结算"
UNLISTED = "FSI-未知错误"
NO_CANCEL = "该就诊不允许撤销"
NO_QUERY = "该接口未开放"
NOTHING_FOUND = "未查询到结算信息"
NO_ORIGINAL = "未查询到原交易信息"
UNDONE = "该交易已作废"
OUT_OF_WINDOW = "原交易已过冲正时限"
REFUNDED = "该结算已退费"


@dataclass(frozen=True, slots=True)
class Temperament:
    """query: ``by_visit`` | ``by_setl_id_only`` | ``none``; lag_s: how long a query misses what already stands.

    reverse_ok_after_s: an OK to 2601 takes effect so much later; reverse_ok_means: False = it may answer OK and do nothing.
    refuse_second / dedup_msgid: what a second settlement of a bill, or a second copy of a message, meets.
    two_phase: a settlement takes effect with its confirm.  unconfirmed_s: one that nobody confirms comes to nothing so much later
    (0 = never).  shows_prepared: queries show it meanwhile.  confirm_again: a second confirm is answered OK.  abort_undoes: an
    abort undoes a confirmed trade, too: nobody promises that it doesn't.
    lists_sales: 5201 shows the visits that sales made, too.
    shares: percent the funds pay of each settlement in turn; two bills in between change it.
    """

    query: str = "by_visit"
    lag_s: float = 0.0
    reverse_missing: str = "ok"
    reverse_window: str = "same_day"
    reverse_ok_after_s: float = 0.0
    reverse_ok_means: bool = True
    refuse_second: bool = False
    dedup_msgid: bool = False
    empty_query_refuses: bool = False
    shares: tuple[int, ...] = (60,)
    two_phase: bool = False
    unconfirmed_s: float = 0.0
    shows_prepared: bool = False
    confirm_again: bool = False
    abort_undoes: bool = False
    lists_sales: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One message as it arrived.  total_fen: the claimed ``medfee_sumamt``."""

    infno: str
    msgid: str
    psn_no: str = ""
    mdtrt_id: str = ""
    ipt_otp_no: str = ""
    chrg_bchno: str = ""
    setl_id: str = ""
    omsgid: str = ""
    oinfno: str = ""
    total_fen: int = 0


@dataclass(slots=True)
class Settlement:
    """state: ``standing`` | ``refunded`` | ``reversed``; two-phase: ``prepared`` before, ``undone`` if it never stood."""

    setl_id: str
    asked: Asked
    fund_fen: int
    account_fen: int
    since: float
    day: str
    state: str = "standing"
    refund: Settlement | None = None

    @property
    def cash_fen(self) -> int:
        return self.asked.total_fen - self.fund_fen - self.account_fen


@dataclass(frozen=True, slots=True)
class Answer:
    """What the centre says.  kind: ``ok`` | ``refused``; shown: a settlement to print, with its msgid and refund flag."""

    kind: str
    text: str = ""
    shown: Settlement | None = None
    sign: int = 1
    refunded: bool = False
    mdtrt_id: str = ""
    visits: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Centre:
    """on_effective(msgid, kind): something now stands; on_end(msgid): it stands no more."""

    temperament: Temperament
    now: Callable[[], float]
    wall: Callable[[], datetime]
    later: Callable[..., None]
    hit: Callable[[str], bool]
    on_effective: Callable[[Settlement, str], None] = lambda settlement, kind: None
    on_end: Callable[[Settlement, str], None] = lambda settlement, kind: None
    settlements: list[Settlement] = field(default_factory=list)
    refunds: list[Settlement] = field(default_factory=list)
    visits: dict[str, Asked] = field(default_factory=dict)
    answered: dict[str, Answer] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    numbers: int = 0

    def answer(self, asked: Asked) -> Answer:
        """Does what the message asks, now."""
        number = asked.infno[:4]
        if number in SETTLEMENTS or number in REFUNDS:
            return self._money(asked, number)
        if number in TRIALS:
            return Answer("ok", shown=self._split(asked, ""))
        if number in ("2201", "2401"):
            return self._register(asked)
        if number in ("2202", "2404"):
            return self._unregister(asked)
        if number in (REVERSAL, ABORT):
            return self._reverse(asked)
        if number == CONFIRM:
            return self._confirm(asked)
        if number == "5203":
            return self._find(asked)
        if number == "5201":
            rows = [(one.mdtrt_id, one.ipt_otp_no) for one in self.visits.values() if one.psn_no == asked.psn_no]
            return Answer("ok", visits=tuple(rows))
        return Answer("ok")

    def _register(self, asked: Asked) -> Answer:
        if self.temperament.dedup_msgid and asked.msgid in self.answered:
            return self.answered[asked.msgid]
        mdtrt_id = f"M{self._number()}"
        self.visits[mdtrt_id] = Asked("2201", asked.msgid, asked.psn_no, mdtrt_id, asked.ipt_otp_no)
        answer = self.answered[asked.msgid] = Answer("ok", mdtrt_id=mdtrt_id)
        return answer

    def _unregister(self, asked: Asked) -> Answer:
        stands = any(one.asked.mdtrt_id == asked.mdtrt_id and one.state in STANDING for one in self.settlements)
        if stands or asked.mdtrt_id not in self.visits:
            return Answer("refused", NO_CANCEL)
        del self.visits[asked.mdtrt_id]
        self.gone.append(asked.mdtrt_id)
        return Answer("ok")

    def _money(self, asked: Asked, number: str) -> Answer:
        known = self.answered.get(asked.msgid)
        if (
            known is not None
        ):  # a second copy of one message: a centre that would take it twice is outside every declaration
            return known if self.temperament.dedup_msgid or known.kind == "refused" else Answer("refused", ALREADY)
        if self.hit("centre.refused"):
            answer = Answer("refused", DEFINITE)
        elif self.hit("centre.unlisted"):
            answer = Answer("refused", UNLISTED)
        else:
            answer = self._settle(asked) if number in SETTLEMENTS else self._refund(asked)
        self.answered[asked.msgid] = answer
        if answer.kind == "ok" and self.hit("centre.applied_but_error"):
            return Answer("refused", UNLISTED)
        return answer

    def _settle(self, asked: Asked) -> Answer:
        if asked.mdtrt_id in self.gone:
            return Answer("refused", UNLISTED)
        second = [one for one in self.settlements if one.state in STANDING and _same_bill(one.asked, asked)]
        if second and self.temperament.refuse_second:
            return Answer("refused", ALREADY)
        if asked.infno.startswith(SALE):
            asked = self._visited(asked)
        made = self._split(asked, f"J{self._number()}")
        self.settlements.append(made)
        if self.temperament.two_phase:
            made.state = "prepared"
            if self.temperament.unconfirmed_s:
                self.later(self.temperament.unconfirmed_s, self._forget, made)
        else:
            self.on_effective(made, "settlement")
        return Answer("ok", shown=made)

    def _visited(self, asked: Asked) -> Asked:
        """A sale makes its visit by itself."""
        mdtrt_id = f"M{self._number()}"
        if self.temperament.lists_sales:
            self.visits[mdtrt_id] = Asked(SALE, asked.msgid, asked.psn_no, mdtrt_id)
        return replace(asked, mdtrt_id=mdtrt_id)

    def _forget(self, made: Settlement) -> None:
        if made.state == "prepared":
            made.state = "undone"

    def _confirm(self, asked: Asked) -> Answer:
        """By our msgid or by the settlement's own id, as the family has it."""
        known = self.answered.get(asked.msgid)
        if known is not None:
            return known
        found = self._named(asked)
        if found is not None and found.state == "standing" and self.temperament.confirm_again:
            answer = Answer("ok")
        elif found is None or found.state != "prepared":
            answer = Answer("refused", UNDONE if found is not None else NO_ORIGINAL)
        else:
            found.state, found.since = "standing", self.now()
            self.on_effective(found, "settlement")
            answer = Answer("ok")
        self.answered[asked.msgid] = answer
        return answer

    def named(self, asked: Asked) -> str:
        """The msgid of the settlement that a second phase names by the centre's own number."""
        found = self._named(asked)
        return found.asked.msgid if found is not None else ""

    def _named(self, asked: Asked) -> Settlement | None:
        rows = [one for one in self.settlements if asked.omsgid and one.asked.msgid == asked.omsgid]
        rows = rows or [one for one in self.settlements if asked.setl_id and one.setl_id == asked.setl_id]
        return rows[0] if rows else None

    def _refund(self, asked: Asked) -> Answer:
        found = next((one for one in self.settlements if one.setl_id == asked.setl_id), None)
        if found is None or found.state != "standing":
            return Answer("refused", REFUNDED)
        made = Settlement(
            f"R{self._number()}", asked, found.fund_fen, found.account_fen, self.now(), national_date(self.wall())
        )
        # a refund has the settlement's amounts, told as negatives
        made.asked = Asked("2208", asked.msgid, asked.psn_no, asked.mdtrt_id, total_fen=found.asked.total_fen)
        found.state, found.refund = "refunded", made
        self.refunds.append(made)
        self.on_end(found, "refunded")
        self.on_effective(made, "refund")
        return Answer("ok", shown=made, sign=-1)

    def _reverse(self, asked: Asked) -> Answer:
        found = self._named(asked)
        if found is None:
            missing = self.temperament.reverse_missing == "error"
            return Answer("refused", NO_ORIGINAL) if missing else Answer("ok")
        if found.state == "refunded":
            return Answer("refused", REFUNDED)
        if asked.infno == ABORT and found.state == "standing" and not self.temperament.abort_undoes:
            return Answer("refused", UNLISTED)
        prepared = found.state == "prepared"
        if self.temperament.reverse_window == "same_day" and not prepared and found.day != national_date(self.wall()):
            return Answer("refused", OUT_OF_WINDOW)
        ignored = not self.temperament.reverse_ok_means and self.hit("centre.reversal_ignored")
        if (prepared or found.state == "standing") and not ignored:
            self.later(self.temperament.reverse_ok_after_s, self._undo, found)
        return Answer("ok")

    def _undo(self, found: Settlement) -> None:
        if found.state == "standing":
            found.state = "reversed"
            self.on_end(found, "reversed")
        self._forget(found)

    def _find(self, asked: Asked) -> Answer:
        """5203: by ``setl_id`` that settlement; by visit the newest record that stands."""
        if self.temperament.query == "none":
            return Answer("refused", NO_QUERY)
        seen = [one for one in self.settlements if one.since + self.temperament.lag_s <= self.now()]
        if not self.temperament.shows_prepared:
            seen = [one for one in seen if one.state != "prepared"]
        if asked.setl_id:
            rows = [one for one in seen if one.setl_id == asked.setl_id and one.state not in ("reversed", "undone")]
        elif self.temperament.query == "by_setl_id_only":
            return Answer("refused", "结算ID不能为空")
        else:
            rows = [one for one in seen if one.asked.mdtrt_id == asked.mdtrt_id and one.state in STANDING]
        if not rows:
            return Answer("refused", NOTHING_FOUND) if self.temperament.empty_query_refuses else Answer("ok")
        found = rows[-1]
        refund = found.refund
        refunded = refund is not None and refund.since + self.temperament.lag_s <= self.now()
        return Answer("ok", shown=found, refunded=refunded)

    def _split(self, asked: Asked, setl_id: str) -> Settlement:
        shares = self.temperament.shares
        share = shares[min(len(self.settlements), len(shares) - 1)] if setl_id else shares[0]
        fund = asked.total_fen * share // 100
        account = (asked.total_fen - fund) // 3
        return Settlement(setl_id, asked, fund, account, self.now(), national_date(self.wall()))

    def _number(self) -> int:
        self.numbers += 1
        return 1000 + self.numbers


STANDING = ("standing", "prepared")


def _same_bill(one: Asked, other: Asked) -> bool:
    return (one.mdtrt_id, one.chrg_bchno) == (other.mdtrt_id, other.chrg_bchno)
