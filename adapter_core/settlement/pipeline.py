"""The pipeline: from an operation to what the HIS is told.  It knows nothing of any province.

`handle` is the one door.  A settlement runs in a task of its own: a HIS that hangs up, or asks twice, changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement import answers
from adapter_core.settlement.booking import acknowledged
from adapter_core.settlement.calls import Caller
from adapter_core.settlement.chain import Chain
from adapter_core.settlement.enquiring import Enquiring
from adapter_core.settlement.from_files import FromFiles
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.list_items import newest_list
from adapter_core.settlement.locating import named_case
from adapter_core.settlement.opening import Opening
from adapter_core.settlement.outbox import FOLLOWING, item_key
from adapter_core.settlement.outbox import PURPOSE as OUTBOX
from adapter_core.settlement.ownership import Ownership
from adapter_core.settlement.papers import Papers
from adapter_core.settlement.passing import Passing
from adapter_core.settlement.paying import Paying
from adapter_core.settlement.place import Place
from adapter_core.settlement.poison import DEATHS_MAX, NothingInHand, Poison
from adapter_core.settlement.ports import Clock, Conflict, InHand, ItemCodes, Ledger, Random, VisitHeld, Wire
from adapter_core.settlement.reception import Reception
from adapter_core.settlement.records import Case
from adapter_core.settlement.relaying import Relaying
from adapter_core.settlement.routing import Routing
from adapter_core.settlement.sessions import Sessions
from adapter_core.settlement.states import OWNED, UNDECIDED, State
from adapter_core.settlement.stepping import Stepping, door
from adapter_core.settlement.sweeping import Sweeping
from adapter_core.settlement.taking_back import TakingBack, cancelled
from adapter_core.settlement.telling import Teller
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.settlement.watch import Watch
from adapter_core.values.errors import AdapterError, LedgerUnavailable, Refused
from adapter_core.values.moments import iso

CONFLICT_TRIES = 5
_log = logging.getLogger(__name__)
WATCH_S = 0.2
UNHURRIED = frozenset({"quote", "settle", "void"})
BOUND_VERBS = frozenset(
    {"void", "abort", "drop_fees", "unregister", "unadmit", "undischarge", "fold", "unfold", "relay"}
)
"""About something that stands: it goes where that stands, whatever is configured now."""
LOCAL_VERBS = frozenset({"query", "confirm", "cancel"})
"""Answered from the ledger: also for an encounter whose gateway is gone."""
POLLING = "national"
"""The dialect whose HIS knows PENDING and asks again."""
Observer = Callable[[Mapping[str, str]], None]


class Pipeline:
    """One per process.  dialects: name → dialect, for cases that go on after a restart.

    instance: this process's own name, new at every start.  exclusive: no other process writes this ledger (SQLite); otherwise
    several replicas share it, each case is driven by one of them, and a lease not renewed for ``lease_s`` may be taken over.
    in_hand: where it is noted which case a plugin works on.  items: the mapping of the hospital's own items, where the site keeps one.
    watch: the site's rules that may block a settlement, where it has any.
    """

    def __init__(
        self,
        ledger: Ledger,
        wire: Wire,
        clock: Clock,
        random: Random,
        dialects: Callable[[str], Dialect | None],
        observer: Observer = lambda event: None,
        *,
        instance: str = "",
        exclusive: bool = True,
        lease_s: float = 45.0,
        in_hand: InHand | None = None,
        items: ItemCodes | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        in_hand = in_hand or NothingInHand()
        self._caller = Caller(ledger, wire, clock, random, in_hand)
        self._poison = Poison(ledger, clock, in_hand)
        self._chain = Chain(ledger, self._caller)
        self._ownership = Ownership(ledger, clock, instance or random.token(), lease_s, exclusive)
        self._teller = Teller(ledger, clock, dialects, observer)
        self._reception = Reception(ledger, clock, random, self._ownership.instance, self._teller.commit, items)
        self._taking_back = TakingBack(ledger, clock, random, self._ownership.instance, self._teller.commit)
        self.from_files = FromFiles(ledger, self._caller, self._teller)
        self.papers = Papers(ledger, clock, random, self._reception, self._teller.commit)
        self._sessions = Sessions(ledger, self._caller, clock, self._ownership.instance)
        self._passing = Passing(self._caller, self._sessions, self._teller, clock)
        self._relaying = Relaying(ledger, self._caller, self._reception, self._sessions, self._teller.commit)
        self.sweeping = Sweeping(ledger, self._caller, self._chain, self._sessions, clock, self._teller)
        self.enquiring = Enquiring(ledger, self._caller, self._sessions, clock)
        self._routing = Routing(ledger, self._chain, self._sessions, clock)
        self._scanned = asyncio.Event()
        self._paying = Paying(
            ledger,
            self._caller,
            self._chain,
            clock,
            random,
            dialects,
            self._teller,
            self._sessions,
            self._ownership,
            self._scanned,
            self._routing,
            watch,
        )
        self._running: dict[str, asyncio.Task[None]] = {}
        self._errands: list[asyncio.Task[Outcome]] = []
        self._doors = Lanes()
        self._stepping = Stepping(
            ledger,
            self._chain,
            self._reception,
            self._teller,
            self._sessions,
            self._routing,
            self._doors,
            clock,
            random,
        )

    async def handle(
        self, place: Place, dialect: Dialect, operation: Operation, wait_s: float | None = None
    ) -> Outcome:
        """What the HIS is told within ``wait_s`` (default: the place's ``sync_wait``).

        Raises: TranslationError, Refused, NotSupported, LedgerUnavailable: nothing was sent then.
        """
        # a stay's settlement may take minutes: who polls is answered at once, an old protocol can't poll and is held
        polls = operation.kind == "inpatient" and operation.verb in UNHURRIED and dialect.name == POLLING
        usual = 0.0 if polls else place.timers.sync_wait
        wait = usual if wait_s is None else wait_s
        for _ in range(CONFLICT_TRIES):
            try:
                return await self._handle(place, dialect, operation, wait)
            except VisitHeld as held:
                raise Refused(
                    str(held), code="VISIT_HELD", message_zh="该笔费用已有一笔结算在办理，请先处理该笔"
                ) from held
            except Conflict:
                continue  # somebody else wrote first: read again, decide anew
        raise Refused("too many writers for one visit", code="VISIT_HELD", message_zh="该就诊正在处理中，请稍后重试")

    async def _handle(self, place: Place, dialect: Dialect, operation: Operation, wait: float) -> Outcome:
        if operation.verb in BOUND_VERBS or (len(place.ways.named) > 1 and operation.verb not in LOCAL_VERBS):
            place = await self._routing.at_door(place, dialect, operation)
        match operation.verb:
            case "sign_in":
                return await self._passing.sign_in(place, dialect, operation)
            case "identify":
                return await self._passing.identify(place, operation)
            case "register" | "admit" | "upload_fees" | "discharge":
                return await self._apart(place, operation, self._stepping.step(place, dialect, operation), wait)
            case "file" | "unfile":
                return await self._stepping.application(place, operation)
            case "drop_fees" | "unregister" | "unadmit" | "undischarge":
                return await self._apart(place, operation, self._stepping.undo(place, dialect, operation), wait)
            case "fold" | "unfold":
                return await self._apart(place, operation, self._stepping.fold(place, dialect, operation), wait)
            case "quote" | "settle":
                return await self._settle(place, dialect, operation, wait)
            case "void" | "cancel" | "abort":
                return await self._take_back(place, dialect, operation, wait)
            case "relay" if not operation.keys:
                return await self._relaying.relay(place, dialect, operation)
            case "relay":
                async with door(self._doors, place, operation):
                    return await self._relaying.relay(place, dialect, operation)
            case "confirm":
                return await self._booked(place, dialect, operation)
            case "query":
                case = await named_case(self._ledger, place, dialect, operation)
                return answers.standing_outcome(case)
            case verb:
                raise Refused(
                    f"{verb} is not built yet", code="NOT_SUPPORTED", message_zh="本版本暂不支持该业务，未发送"
                )

    async def _apart(
        self, place: Place, operation: Operation, work: Coroutine[Any, Any, Outcome], wait: float
    ) -> Outcome:
        """A stay's uploads may take minutes: they go on in a task of their own, whoever waits for them.  The same message again
        joins where they are: what is done isn't done again."""
        if operation.kind != "inpatient":
            return await work
        task = asyncio.create_task(work)
        self._errands.append(task)
        task.add_done_callback(self._came_to)
        done, _ = await asyncio.wait([task], timeout=wait)
        if done:
            return task.result()
        ahead = {"queue_position": self._errands.index(task)}
        return answers.plain("PENDING", "UNDER_WAY", "正在上传医保中心，尚未完成，请稍后用同一报文查询进度", ahead)

    def _came_to(self, task: asyncio.Task[Outcome]) -> None:
        self._errands.remove(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, AdapterError):
            _log.error("an upload stopped: %s", type(failure).__name__)

    # -- money

    async def _settle(self, place: Place, dialect: Dialect, operation: Operation, wait: float) -> Outcome:
        async with door(self._doors, place, operation):
            opened = await self._reception.open_case(place, dialect, operation)
            case, opening = opened.case, None
            if opened.context is not None and opened.accepted is not None:
                opening = Opening(opened.context, opened.accepted)
            if opening is not None and self._is_driven(case):  # by the task that told the quote: it is at its end
                await self._teller.commit(opening.alone)
                opening = None
            running = self._run(place, case, operation, opening)
            if opening is not None:
                try:
                    await opening.wait()
                except LedgerUnavailable:
                    left = await self._ledger.case(case.case_id)
                    if left is None or left.state not in UNDECIDED:
                        raise
                    return answers.standing_outcome(left)  # it may have been stored after all: nobody sends it any more
        return await self._answer(running, case.case_id, wait)

    async def _take_back(self, place: Place, dialect: Dialect, operation: Operation, wait: float) -> Outcome:
        async with door(self._doors, place, operation):
            case = await named_case(self._ledger, place, dialect, operation)
            or_cancel = operation.otherwise == "cancel" or operation.verb == "abort"
            if operation.verb == "cancel" or (or_cancel and case.state not in (State.SETTLED, State.VOIDING)):
                return await self._cancel(case)
            void = await self._taking_back.open_void(place, dialect, operation, case)
            running = self._run(place, void, operation)
        return await self._answer(running, void.case_id, wait)

    async def _booked(self, place: Place, dialect: Dialect, operation: Operation) -> Outcome:
        """A two-phase HIS confirms, or any HIS acknowledges: it booked what it was told."""
        async with door(self._doors, place, operation):
            case = await named_case(self._ledger, place, dialect, operation)
            change = acknowledged(case, operation, iso(self._clock.wall()))
            if change is not None:
                await self._teller.commit(change)
        return answers.standing_outcome(case)

    async def _cancel(self, case: Case) -> Outcome:
        outcome, change = cancelled(case, iso(self._clock.wall()))
        if change is not None:
            await self._teller.commit(change)
        return outcome

    def _run(
        self, place: Place, case: Case, operation: Operation, opening: Opening | None = None
    ) -> asyncio.Task[None]:
        """The one task that drives a case in this process; a second request for it joins the first."""
        running = self._running.get(case.case_id)
        if running is None or not self._is_driven(case):
            running = asyncio.create_task(self._paying.drive(place, case.case_id, operation, opening))
            self._running[case.case_id] = running
            running.add_done_callback(lambda done: self._forget(case.case_id, done))
            if case.purpose == "settle":
                running.add_done_callback(lambda done: self._follow_up(place, case))
        return running

    def _follow_up(self, place: Place, case: Case) -> None:
        """What follows a settlement goes out as soon as it stands; a later start would find it, too."""
        if not place.follows_up(case.kind):
            return

        async def found() -> Outcome:
            item = await self._ledger.case_by_key(case.org, OUTBOX, item_key(case.key))
            if item is not None and item.state is State.READY and self._ownership.may_claim(item):
                claimed = await self._ownership.claim(item)
                if claimed is not None:
                    self._run(place, claimed, Operation("query", "", claimed.dialect))
            return answers.plain("DONE", "OK", "")

        task = asyncio.create_task(found())
        self._errands.append(task)
        task.add_done_callback(self._came_to)

    def _forget(self, case_id: str, done: asyncio.Task[None]) -> None:
        if self._running.get(case_id) is done and not done.cancelled() and done.exception() is None:
            del self._running[case_id]

    async def _answer(self, running: asyncio.Task[None], case_id: str, wait: float) -> Outcome:
        until = self._clock.mono() + wait
        await asyncio.wait([running], timeout=wait)
        case = await self._others_case(case_id, until)
        failure = running.exception() if running.done() and not running.cancelled() else None
        if failure is not None and case.state not in UNDECIDED:
            raise failure
        if failure is not None:
            _log.error("case %s stopped in doubt: %s", case.case_id, type(failure).__name__)
        return answers.standing_outcome(case)  # whatever went wrong in doubt, the HIS hears that it is not known

    def ahead_of(self, case_id: str) -> int | None:
        """How many cases this process took up before this one and still drives; None for one that it doesn't drive."""
        driven = [key for key, task in self._running.items() if not task.done()]
        return driven.index(case_id) if case_id in driven else None

    async def _others_case(self, case_id: str, until: float) -> Case:
        """The case; one that another replica drives is watched until it is decided or the wait is over."""
        while True:
            case = await self._ledger.case(case_id)
            assert case is not None
            left = until - self._clock.mono()
            if case.state not in OWNED or self._ownership.is_mine(case) or left <= 0:
                return case
            await asyncio.sleep(min(WATCH_S, left))

    async def decide(self, place: Place, case: Case, decision: OperatorDecision) -> Outcome:
        """An operator's decision about a frozen case, with name, reason and proof (E5).

        Raises: TranslationError, Refused NOT_FROZEN, FOUR_EYES.
        """
        after = await self._paying.doubting.decide(place, case, decision)
        if after.state is State.RESOLVING:
            self._run(place, after, Operation("query", "", after.dialect))
        if after.state is State.SETTLED:
            self._follow_up(place, after)
        return answers.standing_outcome(after)

    async def hand_in_list(self, place: Place, settled: Case, said: Mapping[str, Any]) -> Case:
        """A settlement list (4101) of a settled case, on its way through the outbox; the same again is the same item.

        Raises: TranslationError with every fault, Refused NOT_SETTLED, NotSupported.
        """
        for _ in range(CONFLICT_TRIES):
            try:
                item = await self._paying.lists.hand_in(place, settled, said)
                break
            except Conflict:
                continue
        else:
            raise Refused("too many writers for one list", code="LIST_BUSY", message_zh="该清单正在处理中，请稍后重试")
        if item.state is State.READY and not self._is_driven(item) and self._ownership.may_claim(item):
            claimed = await self._ownership.claim(item)
            if claimed is not None:
                self._run(place, claimed, Operation("query", "", claimed.dialect))
        return item

    async def newest_list(self, settled: Case) -> tuple[Case | None, int]:
        """The newest version of a settlement's list, and its number; from the ledger only."""
        return await newest_list(self._ledger, settled)

    # -- life

    async def resume(self, places: Callable[[str], Place | None]) -> list[str]:
        """At start, before any money is sent, and with replicas every now and then: every unfinished case whose owner is gone
        goes on by what the journal proves.  A money call is never sent again; its outcome is resolved.

        Cases that a worker died on come last; those that too many died on wait for a person.
        Returns the ids of the cases that are being resolved here.
        """
        await self._poison.note_death()
        resolving = []
        cases = await self._ledger.cases_in(sorted(OWNED))
        for case in sorted(cases, key=self._poison.turn):
            place = places(case.org)
            if place is None or self._is_driven(case) or not self._ownership.may_claim(case):
                continue
            before_money = (
                case.state in (State.PREPARING, State.READY) and case.purpose not in FOLLOWING
            )  # closing those runs no plugin
            if not before_money and self._poison.waits(case, any(map(self._is_driven, cases))):
                continue
            claimed = await self._ownership.claim(case)
            if claimed is None:
                continue
            if before_money:
                try:
                    await self._paying.preparing.never_sent(claimed)
                except Conflict:
                    continue  # cancelled meanwhile, at another replica
            elif self._poison.is_poison(claimed) and claimed.purpose not in FOLLOWING:
                _log.error("case %s waits for a person: the worker died on it", claimed.case_id)
                await self._paying.doubting.park(place, claimed, f"the worker died on it {DEATHS_MAX} times")
            else:
                self._run(place, claimed, Operation("query", "", claimed.dialect))
                resolving.append(claimed.case_id)
        self._scanned.set()
        return resolving

    def _is_driven(self, case: Case) -> bool:
        running = self._running.get(case.case_id)
        return running is not None and not running.done()

    async def keep_scanning(self, places: Callable[[str], Place | None], every_s: float) -> None:
        """Look again and again for cases that nobody drives: their owner is gone, or they waited.

        A ledger that is away for a while ends no scan.
        """
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.resume(places)
            except AdapterError as error:
                _log.error("the scan for cases whose owner is gone failed: %s", error)

    async def settled_down(self) -> None:
        """Wait for every task of this process."""
        while self._running or self._errands:
            await asyncio.wait([*self._running.values(), *self._errands])
            self._running = {key: task for key, task in self._running.items() if not task.done()}

    async def close(self) -> None:
        """Stop asking; what is not decided goes on at the next start."""
        tasks = [*self._running.values(), *self._errands]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._running.clear()
