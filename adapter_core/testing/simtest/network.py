"""The simulated wire: what a network and a tired gateway do to a message.  Satisfies `settlement.ports.Wire`.

The gate is called where the real wire calls it: connection up, not one byte out, no await before the first byte.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from adapter_core.testing.simtest import questions
from adapter_core.testing.simtest.centre import CHANGING, DEFINITE, MONEY, OUT_OF_WINDOW, Answer, Asked, Centre
from adapter_core.testing.simtest.checker import CANARY, Checker
from adapter_core.testing.simtest.lanes import Lane
from adapter_core.testing.simtest.loop import Node
from adapter_core.testing.simtest.world import World
from adapter_core.values.copies import replace
from adapter_core.values.errors import NotSent, OutcomeUnknown
from adapter_core.values.frames import Frame

WORDS = {"2207": "settle", "2304": "settle", "2208": "refund", "2305": "refund", "2102": "settle", "2103": "refund", "2601": "reverse", "5203": "query",
         "49CO": "confirm", "49AB": "reverse"}  # fmt: skip

ECHOED = ("settle", "refund")
SETL_ID = re.compile(rb'("setl_id": ?")[^"]*')
CASH = re.compile(rb'("psn_cash_pay": ?"-?)(\d)')


class Network:
    """Between the nodes and one centre.  late_s: how long after its first byte a request may still take effect; copies:
    messages may arrive twice; repeats: the gateway is declared to repeat (``may_repeat``)."""

    def __init__(
        self, world: World, lane: Lane, centre: Centre, checker: Checker, late_s: float, *, copies: bool, repeats: bool
    ) -> None:
        self.world = world
        self.lane = lane
        self.centre = centre
        self.checker = checker
        self.late_s = late_s
        self.copies = copies or repeats
        self.repeats = repeats
        self.told: list[Frame] = []

    def deliver(self, asked: Asked, reply: Callable[[Frame], None] | None) -> None:
        """The request takes effect now; the reply is handed over, if anybody may still hear it."""
        if asked.infno[:4] in CHANGING:
            self.checker.arrived(asked.msgid)
        answer = self.centre.answer(asked)
        self.world.note(lambda: f"centre {asked.infno} {asked.msgid[-6:]} -> {answer.kind} {answer.text}")
        if answer.text == OUT_OF_WINDOW:
            self.checker.too_late(asked.omsgid)
        if reply is not None:
            reply(self.lane.write(asked, answer))

    def deliver_copy(self, asked: Asked, reply: Callable[[Frame], None]) -> None:
        """A second copy, made by a gateway on the way, whose answer may be the one that comes back.  What it says of a message
        that was taken already is never a definite refusal, unless the gateway is declared to repeat."""
        if self.repeats and asked.msgid in self.centre.answered and asked.infno[:4] in MONEY:
            reply(self.lane.write(asked, Answer("refused", DEFINITE)))
        else:
            self.deliver(asked, reply)


class SimWire:
    """One node's way into the network."""

    def __init__(self, network: Network, node: Node) -> None:
        self._network = network
        self._world = network.world
        self._node = node

    async def exchange(
        self,
        endpoint: str,
        frame: Frame,
        *,
        deadline_s: float,
        gate: Callable[[], None],
        money: bool,
        kind_class: str = "R",
        resolving: bool = False,
    ) -> Frame:
        world, faults = self._world, self._world.faults
        asked = self._network.lane.read(frame)
        questions.exchanges(world, asked.infno)
        word = WORDS.get(asked.infno[:4], "other")
        started = world.now
        if faults.hit(f"net.{word}.unsent"):
            await world.pause(faults.draw(f"net.{word}.unsent", 0.001, 3.0))
            raise NotSent("simulated: connection refused", code="CONNECT_FAILED")
        connecting = 0.002
        if faults.hit(f"net.{word}.connect"):
            connecting = faults.draw(f"net.{word}.connect", 0.1, 6.0)
        if faults.hit(f"pause.before.gate.{word}"):
            world.freeze(self._node, faults.draw(f"pause.before.gate.{word}", 1.0, world.pause_max))
        await world.pause(connecting)
        try:
            gate()
        except NotSent:
            world.count("gate closed")
            raise
        questions.leaves(asked.infno)
        self._network.checker.first_byte(self._node, asked, frame)
        world.note(lambda: f"{self._node.name} sends {asked.infno} {asked.msgid[-6:]}")
        left = deadline_s - (world.now - started)
        done: asyncio.Future[Frame] = world.loop.create_future()
        world.later(max(0.0, left), _give_up, done)
        self._send(asked, word, done)
        if faults.hit(f"crash.after.byte.{word}"):
            await world.crashed(self._node)
        if faults.hit(f"pause.after.byte.{word}"):
            world.freeze(self._node, faults.draw(f"pause.after.byte.{word}", 0.5, world.pause_max))
        return await done

    def may_retry(self, endpoint: str) -> bool:
        return not self._world.faults.hit("net.other.no_budget")

    def _send(self, asked: Asked, word: str, done: asyncio.Future[Frame]) -> None:
        """Decides the message's fate; every copy on its way is the checker's business."""
        faults, network, checker = self._world.faults, self._network, self._network.checker
        watched = asked.infno[:4] in CHANGING
        if faults.hit(f"net.{word}.lost"):
            self._hang_or_break(word, done)
            return
        delay = self._world.random.uniform(0.002, 0.05)
        if faults.hit(f"net.{word}.late"):
            delay = faults.draw(f"net.{word}.late", 0.1, network.late_s)
        if watched:
            checker.left(asked.msgid)
        # our request is lost and another one's answer comes back: only replies with an echo can show that
        if word in ECHOED and faults.hit(f"net.{word}.crossed") and network.told:
            self._world.later(0.05, _hand_over, done, network.told[-1])
            if watched:
                self._world.later(0.05, checker.arrived, asked.msgid)
            return
        first_is_heard = True
        if network.copies and faults.hit(f"net.{word}.copy"):
            again = faults.draw(f"net.{word}.copy", 0.0, network.late_s)
            self._world.later(again, network.deliver_copy, asked, self._replying(word, done))
            first_is_heard = not faults.hit(f"net.{word}.copy.first_unheard")
        self._world.later(delay, network.deliver, asked, self._replying(word, done) if first_is_heard else None)
        if faults.hit(f"net.{word}.reset"):
            self._world.later(delay, _break_off, done)

    def _hang_or_break(self, word: str, done: asyncio.Future[Frame]) -> None:
        if self._world.faults.hit(f"net.{word}.lost.reset"):
            self._world.later(0.1, _break_off, done)

    def _replying(self, word: str, done: asyncio.Future[Frame]) -> Callable[[Frame], None]:
        faults, world = self._world.faults, self._world

        def reply(frame: Frame) -> None:
            self._network.told.append(frame)
            if faults.hit(f"net.{word}.reply.lost"):
                if faults.hit(f"net.{word}.reply.reset"):
                    world.later(0.01, _break_off, done)
                return
            told = frame
            if faults.hit(f"net.{word}.reply.cut"):
                told = replace(frame, body=frame.body[: len(frame.body) // 2])
            elif faults.hit(f"net.{word}.reply.garbage"):
                told = replace(frame, body=b"<html><h1>502 Bad Gateway</h1></html>", status=502)
            elif faults.hit(f"net.{word}.reply.status"):
                told = marked(replace(frame, status=500))
            elif word in ECHOED and faults.hit(f"net.{word}.reply.unbalanced"):
                told = marked(replace(frame, body=CASH.sub(rb"\g<1>1\g<2>", frame.body)))
            slow = faults.draw(f"net.{word}.reply.slow", 0.5, 100.0) if faults.hit(f"net.{word}.reply.slow") else 0.0
            world.later(world.random.uniform(0.002, 0.05) + slow, _hand_over, done, told)

        return reply


def marked(frame: Frame) -> Frame:
    """A reply that fails a check, under an id by which whatever is taken from it is known again (I22)."""
    return replace(frame, body=SETL_ID.sub(rb"\g<1>" + CANARY.encode(), frame.body))


def _hand_over(done: asyncio.Future[Frame], frame: Frame) -> None:
    if not done.done():
        done.set_result(frame)


def _give_up(done: asyncio.Future[Frame]) -> None:
    if not done.done():
        done.set_exception(OutcomeUnknown("simulated: deadline", code="DEADLINE"))


def _break_off(done: asyncio.Future[Frame]) -> None:
    if not done.done():
        done.set_exception(OutcomeUnknown("simulated: connection reset", code="CONNECTION_LOST"))
