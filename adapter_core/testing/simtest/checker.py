"""The invariants of `reliability.md` §12, watched while a case runs.  It shares no code with the core and believes none of it.

It sees what the core can't: which messages are under way, and what truly stands at the centre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.province.messages import Outcome
from adapter_core.settlement.outbox import FOLLOWING
from adapter_core.settlement.records import CallRecord, Case, Event
from adapter_core.settlement.states import PAPER
from adapter_core.testing.simtest.centre import ABORT, CONFIRM, REFUNDS, REVERSAL, SETTLEMENTS, Asked, Settlement
from adapter_core.testing.simtest.disk import Landed
from adapter_core.testing.simtest.loop import Node
from adapter_core.testing.simtest.world import World
from adapter_core.values.frames import Frame

CLOSED = frozenset({"NOT_APPLIED", "REVERSED", "REJECTED", "NOT_SENT", "CANCELLED"})
"""Closed without money: nothing of the case may stand, nor ever land."""

SURE = frozenset({"SETTLED", "REJECTED", "NOT_APPLIED", "REVERSED", "VOIDED", "CANCELLED"})
"""Answers that never become another one without a journalled refund (I6)."""

OPEN = frozenset({"PREPARING", "READY", "SENDING", "CONFIRMING", "RESOLVING", "REVERSING", "VOIDING"})
UNDER_WAY = frozenset({"SENDING", "CONFIRMING", "RESOLVING", "REVERSING"})
IN_DOUBT = frozenset({"RESOLVING", "REVERSING"})
REFUND_STEPS = ("void", "stay_void", "drug_void")
CANARY = "J0CANARY"
"""The ``setl_id`` of replies that fail a check."""
EVIDENCE = frozenset({"E1", "E2", "E3", "E4", "E5", "E6"})


@dataclass(slots=True)
class Message:
    """One money msgid.  under_way: it left and no copy of it has arrived; standing: what it made, while that stands;
    too_late: the centre takes no reversal of it any more; forgotten: the ledger lost its synced intent with its tail.
    refunded: what it made stood until a refund ended it; confirms: of a confirm, the settlement it names."""

    call: CallRecord
    visit_key: str
    sent: int = 0
    under_way: bool = False
    standing: Settlement | None = None
    burnt: bool = False
    too_late: bool = False
    forgotten: bool = False
    refunded: bool = False
    confirms: Message | None = None

    @property
    def may_stand(self) -> bool:
        """Now or later.  A repeated confirm whose trade another one confirmed, and a refund ended, finds nothing to commit; should a
        centre take it all the same, `effective` sees that."""
        spent = self.confirms is not None and self.confirms.refunded
        return self.standing is not None or (self.under_way and not spent)


class Checker:
    def __init__(self, world: World) -> None:
        self._world = world
        self.cases: dict[str, Case] = {}
        self.calls: dict[str, CallRecord] = {}
        self.messages: dict[str, Message] = {}
        self.by_case: dict[str, list[Message]] = {}
        self._told: dict[tuple[str, str], tuple[str, int]] = {}
        self._bodies: dict[tuple[str, str], str] = {}
        self._open_since: dict[str, float] = {}
        self._landings = 0
        self.may_freeze: Callable[[Case], bool] = lambda case: True
        self.on_landing: Callable[[Landed], None] = lambda landed: None
        self.on_first_byte: Callable[[str, str], None] = lambda infno, msgid: None
        self.unaskable: Callable[[Case], bool] = lambda case: False
        self.named: Callable[[Asked], str] = lambda asked: ""

    # -- the ledger

    def state_of(self, case_id: str) -> str:
        """What the ledger says of a case now; "" where it has lost it."""
        case = self.cases.get(case_id)
        return str(case.state) if case is not None else ""

    @property
    def position(self) -> int:
        """How many changes have landed: the moment of a question, for the order of answers."""
        return self._landings

    def landed(self, landed: Landed, before: Mapping[str, Case]) -> None:
        self._landings += 1
        self.on_landing(landed)
        change = landed.change
        if any(event.kind == "INTENT" for event in change.events):
            self._fenced(landed)
        for call in change.calls:
            self._call(call, landed, {case.case_id: case for case in change.cases})
        for event in change.events:
            self._event(event)
        for case in change.cases:
            old = before.get(case.case_id)
            self.cases[case.case_id] = case
            if case.setl_id == CANARY or CANARY in repr(case.told):
                self._world.violate("I22", f"{case.key} holds what a reply said that failed its checks")
            self._row(old, case, change.events, landed)

    def lost(self, changes: list[Landed], stored: Callable[[str], Case | None]) -> None:
        """A power cut, or a failover, took these changes: what they said is no longer so."""
        for landed in changes:
            for call in landed.change.calls:
                if landed.synced and call.msgid in self.messages:
                    self.messages[call.msgid].forgotten = True
            for case in landed.change.cases:
                before = stored(case.case_id)
                if before is None:
                    self.cases.pop(case.case_id, None)
                else:
                    self.cases[case.case_id] = before

    def _call(self, call: CallRecord, landed: Landed, cases: Mapping[str, Case]) -> None:
        if landed.synced:
            self.calls[call.msgid] = call
        known = self.messages.get(call.msgid)
        if known is not None:
            known.call = call
            known.burnt = known.burnt or call.burnt
        elif call.kind_class in ("N", "K"):
            case = cases.get(call.case_id) or self.cases.get(call.case_id)
            message = self.messages[call.msgid] = Message(call, case.visit_key if case else "")
            self.by_case.setdefault(call.case_id, []).append(message)

    def _event(self, event: Event) -> None:
        self._world.count(f"event {event.kind}")
        if event.kind == "INTENT" and event.data.get("class") == "X":
            original = event.data.get("content", {}).get("original", {}).get("omsgid", "")
            if original in self.messages:
                self.messages[original].burnt = True
        if event.kind == "REPLY" and str(event.data.get("msgid", "")) in self.messages:
            case = self.cases.get(event.case_id)
            self._world.count(f"money reply read while {case.state if case else '?'}")
        evidence = str(event.data.get("evidence", ""))
        if evidence:
            self._world.count(f"evidence {evidence}")
            case = self.cases.get(event.case_id)
            if case is not None:
                self._world.count(f"{case.purpose} of {case.kind} closed by {evidence}")

    def _fenced(self, landed: Landed) -> None:
        """Whoever means to send something for a case owns it, by what the ledger says at that moment."""
        rows = {**self.cases, **{case.case_id: case for case in landed.change.cases}}
        for call in landed.change.calls:
            case, node = rows.get(call.case_id), landed.node
            if case is not None and node is not None and case.owner != node.name:
                self._world.violate(
                    "I20", f"{node.name} means to send {call.message} for {case.key}, owned by {case.owner!r}"
                )

    def _row(self, old: Case | None, new: Case, events: tuple[Event, ...], landed: Landed) -> None:
        was, state = str(old.state) if old else "", str(new.state)
        if was == state:
            return
        who = landed.node.name if landed.node else "?"
        self._world.count(f"state {new.purpose} {state}")
        self._world.count(f"move {new.purpose} {was or 'new'} -> {state}")
        self._world.note(lambda: f"{who} row {new.purpose} {new.key} {was} -> {state} {new.data.get('why', '')}")
        if state in OPEN and was not in OPEN:
            self._open_since[new.case_id] = self._world.now
            self._open_since[new.target_case_id] = self._world.now  # a settlement waits for its refund
        if old is not None and was in UNDER_WAY and old.owner not in ("", who):
            self._world.violate("I20", f"{who} moves {new.key} from {was} to {state}; it belongs to {old.owner}")
        if state == "SETTLED" and was in UNDER_WAY and old is not None and not old.wanted:
            self._world.violate("I6", f"{new.key} was cancelled in doubt, and becomes SETTLED")
        if state in CLOSED:
            self._closing(new, state)
        if state == "MANUAL_OPEN":
            for message in self.messages.values():
                if message.visit_key == new.visit_key and message.call.step not in REFUND_STEPS and message.may_stand:
                    self._world.violate(
                        "I12", f"papers for {new.visit_key}, and {message.call.msgid} stands or may land"
                    )
        if was in IN_DOUBT and state not in IN_DOUBT and state not in ("FROZEN", "CONFIRMING"):
            self._evidenced(new, events)
        if state == "FROZEN" and not self.may_freeze(new):
            why = new.data.get("frozen_because", "")
            self._world.violate("I25", f"{new.purpose} {new.key} is left to a person without need: {why}")
        if state == "SETTLED":
            self._standing(new, "settlement")
        elif state == "VOIDED" and new.purpose == "void":
            self._standing(new, "refund")
        elif state == "VOIDED":
            for message in self.by_case.get(new.case_id, []):
                if message.standing is not None:
                    self._world.violate("I2", f"VOIDED, but settlement {message.standing.setl_id} still stands")

    def _closing(self, case: Case, state: str) -> None:
        """The strongest check, at the moment of closing."""
        for message in self.by_case.get(case.case_id, []):
            if message.standing is not None:
                self._world.violate("I2", f"{case.purpose} {case.key} becomes {state}: {message.call.msgid} stands")
            elif message.under_way:
                self._world.violate(
                    "I2", f"{case.purpose} {case.key} becomes {state}: {message.call.msgid} is under way"
                )

    def _evidenced(self, case: Case, events: tuple[Event, ...]) -> None:
        named = [str(event.data.get("evidence", "")) for event in events]
        if not EVIDENCE.intersection(named):
            self._world.violate("I10", f"{case.key} left doubt for {case.state} without evidence: {named}")

    def _standing(self, case: Case, kind: str) -> None:
        """A case that says it stands: one message of it does, with the same amounts, and was not reversed."""
        rows = [message for message in self.by_case.get(case.case_id, []) if message.standing is not None]
        if len(rows) != 1:
            self._world.violate(
                "I2", f"{case.purpose} {case.key} becomes {case.state}: {len(rows)} of its messages stand"
            )
            return
        one = rows[0].standing
        assert one is not None
        if rows[0].burnt:
            self._world.violate("I11", f"{case.key}: burnt {rows[0].call.msgid} was adopted")
        sign = -1 if kind == "refund" else 1
        truth = [sign * amount for amount in (one.asked.total_fen, one.fund_fen, one.account_fen, one.cash_fen)]
        said = [case.total_fen, case.fund_fen, case.account_fen, case.cash_fen]
        if said != truth and not (kind == "refund" and said == [abs(amount) for amount in truth]):
            self._world.violate("I2", f"{case.key}: amounts {said} fen, the centre has {truth}")
        unknown = kind == "refund" and case.setl_id == ""  # found by its settlement's id, a refund's own is not shown
        if case.setl_id != one.setl_id and not unknown:
            self._world.violate("I2", f"{case.key}: setl_id {case.setl_id!r}, the centre has {one.setl_id!r}")

    # -- the wire

    def first_byte(self, node: Node, asked: Asked, frame: Frame) -> None:
        call = self.calls.get(asked.msgid)
        number = asked.infno[:4]
        self._world.count(f"sent {number}")
        self.on_first_byte(asked.infno, asked.msgid)
        if number in SETTLEMENTS | REFUNDS | {REVERSAL, CONFIRM, ABORT, "2201", "2401"}:
            if call is None:
                self._world.violate("I3", f"{asked.infno} {asked.msgid} left without a durable intent")
                return
            if call.body_hash != hashlib.sha256(frame.body).hexdigest():
                self._world.violate("I3", f"{asked.infno} {asked.msgid}: other bytes than journalled")
        if number in SETTLEMENTS or number in REFUNDS or number == CONFIRM:
            self._money_leaves(node, asked, self.messages.get(asked.msgid))
        elif number in (REVERSAL, ABORT):
            self._reversal_leaves(asked)

    def _money_leaves(self, node: Node, asked: Asked, message: Message | None) -> None:
        if not node.scanned:
            self._world.violate("I19", f"{node.name} sends {asked.infno} {asked.msgid} before its scan has ended")
        if message is None:
            self._world.violate(
                "I4", f"{asked.infno} leaves under {asked.msgid}, which was journalled for another call"
            )
            return
        message.sent += 1
        if message.sent > 1:
            self._world.violate("I4", f"{asked.msgid} leaves twice")
        if message.burnt:
            self._world.violate("I11", f"burnt {asked.msgid} leaves")
        case = self.cases.get(message.call.case_id)
        state = str(case.state) if case else "?"
        if message.forgotten:
            # Its intent was synced and witnessed, and went with the tail of a failed-over ledger between the gate's opening and this
            # byte: no gate can see that (`reliability.md` §4, §7).  The row says less than was so; `TailLoss` watches that nothing
            # new leaves, and I3 that this one was written before.
            self._world.count("left under an intent that a failover lost")
            state = "CONFIRMING" if asked.infno == CONFIRM else "SENDING"
        if asked.infno == CONFIRM:
            message.confirms = self.messages.get(asked.omsgid or self.named(asked))
            self._confirm_leaves(message, state)
        elif state != "SENDING" and state != "RESOLVING":
            self._world.violate("I12", f"{asked.msgid} leaves though its case is {state}")
        if message.call.step not in ("void", "stay_void", "drug_void", "commit"):
            self._only_one(message)
            self._no_papers(message, "leaves")

    def _no_papers(self, message: Message, does: str) -> None:
        """I12: never a valid paper set and a possible settlement for one visit."""
        for case in self.cases.values():
            if case.visit_key == message.visit_key and case.state in PAPER:
                self._world.violate("I12", f"{message.call.msgid} {does} while papers of {case.visit_key} are valid")

    def _confirm_leaves(self, message: Message, state: str) -> None:
        """What phase one prepared is confirmed while its case wants it, and never once it was to be discarded."""
        if state not in ("CONFIRMING", "RESOLVING"):
            self._world.violate("I12", f"confirm {message.call.msgid} leaves though its case is {state}")
        if any(one.burnt for one in self.by_case.get(message.call.case_id, [])):
            self._world.violate("I11", f"confirm {message.call.msgid} leaves after its trade was to be discarded")

    def _only_one(self, message: Message) -> None:
        for other in self.messages.values():
            mine = other is message or other.visit_key != message.visit_key or other.call.step != message.call.step
            if not mine and other.may_stand:
                self._world.violate(
                    "I20", f"{message.call.msgid} leaves while {other.call.msgid} of the same visit stands or may land"
                )

    def _reversal_leaves(self, asked: Asked) -> None:
        message = self.messages.get(asked.omsgid or self.named(asked))
        if message is None:
            self._world.violate("I11", f"2601 names {asked.omsgid!r}, which is no money call of ours")
            return
        if not message.burnt:
            self._world.violate("I11", f"2601 of {asked.omsgid} leaves before its intent is in the ledger")
        case = self.cases.get(message.call.case_id)
        told = self._told.get((case.purpose, case.key), ("", 0))[0] if case else ""
        if told in ("SETTLED", "VOIDED"):
            self._world.violate("I9", f"2601 of {asked.omsgid} leaves after its case was told {told}")

    def left(self, msgid: str) -> None:
        message = self.messages.get(msgid)
        if message is not None:
            message.under_way = True

    def arrived(self, msgid: str) -> None:
        """The first copy decides: no centre inside its declaration takes a message twice."""
        message = self.messages.get(msgid)
        if message is not None:
            message.under_way = False

    def too_late(self, msgid: str) -> None:
        """The centre's day for reversing it is over: without a query only a person or the files can help."""
        if msgid in self.messages:
            self.messages[msgid].too_late = True

    # -- the centre

    def effective(self, made: Settlement, kind: str) -> None:
        message = self.messages.get(made.asked.msgid)
        self._world.note(lambda: f"centre: {kind} {made.setl_id} of {made.asked.msgid[-6:]} stands")
        if message is None:
            self._world.violate("I3", f"{made.asked.msgid} takes effect without an intent")
            return
        message.standing = made
        case = self.cases.get(message.call.case_id)
        if case is not None and str(case.state) in CLOSED:
            self._world.violate("I2", f"{made.asked.msgid} takes effect after its case became {case.state}")
        if kind == "settlement":
            self._no_papers(message, "takes effect")
            standing = [
                one
                for one in self.messages.values()
                if one.standing is not None
                and one.visit_key == message.visit_key
                and one.call.step == message.call.step
            ]
            if len(standing) > 1:
                self._world.violate("I1", f"visit {message.visit_key} is settled {len(standing)} times")

    def ended(self, made: Settlement, how: str) -> None:
        message = self.messages.get(made.asked.msgid)
        self._world.note(lambda: f"centre: {made.setl_id} is {how}")
        if message is None:
            return
        message.standing = None
        message.refunded = how == "refunded"
        case = self.cases.get(message.call.case_id)
        if how == "reversed" and case is not None and str(case.state) == "SETTLED":
            self._world.violate("I9", f"{case.key} is SETTLED and its settlement is reversed")

    # -- the HIS

    def told(self, purpose: str, key: str, outcome: Outcome, body: str, asked_at: int) -> None:
        """What one answer says, when it leaves the node.  asked_at: `position` when its question came in."""
        state = outcome.state
        self._world.count(f"told {purpose} {state}")
        self._world.note(lambda: f"told {purpose} {key} {state} {outcome.code}")
        case = next((one for one in self.cases.values() if one.purpose == purpose and one.key == key), None)
        if state in ("SETTLED", "VOIDED"):
            self._same_body(purpose, key, state, body)
        known, since = self._told.get((purpose, key), ("", 0))
        legal = purpose == "settle" and {known, state} <= {"SETTLED", "VOIDING", "VOIDED"}
        legal = legal or state.startswith("MANUAL_")  # by a paper event
        if known in SURE and state != known and not legal:
            if state in SURE:
                self._world.violate("I6", f"{purpose} {key} was told {known}, and now {state}")
            elif asked_at >= since:
                self._world.violate("I6", f"{purpose} {key} was told {known}, and a later question {state}")
        if state == "SETTLED" and case is not None and str(case.state) not in ("SETTLED", "VOIDING", "VOIDED"):
            self._world.violate("I9", f"{key} is told SETTLED, the ledger says {case.state}")
        if state in CLOSED and case is not None and known != state:
            self._closing(case, f"told {state}") if str(case.state) in CLOSED else None
        if state in SURE and (known not in SURE or legal):
            self._told[purpose, key] = (state, self._landings)

    def _same_body(self, purpose: str, key: str, state: str, body: str) -> None:
        known = self._bodies.setdefault((key, state), f"{purpose}:{body}")
        if known.startswith(f"{purpose}:") and known != f"{purpose}:{body}":
            self._world.violate("I5", f"{key} is told {state} in other words than before")

    # -- at the end

    def nothing_open(self) -> bool:
        """Every case is decided, or waits for a person."""
        return all(str(case.state) not in OPEN or self._waits_for_a_person(case) for case in self.cases.values())

    def none_stuck(self, healed: float, bound: Callable[[Case], float]) -> None:
        """I25: since the faults ceased no case is undecided for longer than its ``bound``, in seconds."""
        for case in self.cases.values():
            since = max(healed, self._open_since.get(case.case_id, 0.0))
            if str(case.state) in OPEN and self._world.now > since + bound(case) and not self._waits_for_a_person(case):
                self._world.violate(
                    "I25", f"{case.purpose} {case.key} is {case.state} for {self._world.now - since:.0f} s"
                )

    def at_rest(self) -> None:
        """Quiescence: I1, I2."""
        for message in self.messages.values():
            case = self.cases.get(message.call.case_id)
            state = str(case.state) if case else "?"
            if state == "FROZEN" or (case is not None and state in OPEN and self._waits_for_a_person(case)):
                continue
            says = state == ("VOIDED" if case is not None and case.purpose == "void" else "SETTLED")
            says = says or (state == "VOIDING" and message.standing is not None)
            stands = message.standing is not None
            if stands and not says:
                self._world.violate("I2", f"{message.call.msgid} stands at the end, its case is {state}")
        for case in self.cases.values():
            if str(case.state) == "SETTLED" and not any(one.standing for one in self.by_case.get(case.case_id, [])):
                self._world.violate("I2", f"{case.key} is SETTLED at the end, nothing of it stands")

    def _waits_for_a_person(self, case: Case) -> bool:
        """A settlement whose refund is frozen waits with it, and what would follow that settlement, too: whether it stands is not
        known; so does what can be reversed no more."""
        settled = self.cases.get(case.target_case_id)
        if case.purpose in FOLLOWING and settled is not None:
            return self._waits_for_a_person(settled)
        if self.unaskable(case) or any(message.too_late for message in self.by_case.get(case.case_id, [])):
            return True
        refunds = [one for one in self.cases.values() if one.target_case_id == case.case_id]
        return str(case.state) == "VOIDING" and any(str(one.state) == "FROZEN" for one in refunds)


def words_of(outcome: Outcome) -> str:
    """An answer in one canonical form, amounts as text."""
    return repr(_sorted((outcome.state, outcome.code, outcome.message_zh, outcome.content, dict(outcome.refs))))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(name, _sorted(value[name])) for name in sorted(value)]
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return str(value)
