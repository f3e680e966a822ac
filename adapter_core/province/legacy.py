"""A legacy gateway: a dialect plus an address.

A centre that still speaks its province's old interface is called through the same dialect that serves a HIS, turned round.
The route names the dialect's messages instead of national numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.dialect import Dialect
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call, Mark, Operation, Reply
from adapter_core.province.plan import Route
from adapter_core.province.policy import Policy
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import ContractError, Fault, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china

MSGID = "{code}{time:%Y%m%d%H%M%S}{n:04}"
REFS = "refs"
"""Where a reply's own references are filed inside its ``result``: a later reversal names the original by them."""

Echo = tuple[str, str]
"""``(path in the call, path in the reply)``, each ``section.field``; both name the same thing."""


class LegacyGateway:
    """Encodes calls as a dialect's requests and reads its replies.  Satisfies `Gateway`.

    path: appended to the configured address (HTTP families only).  msgid: the form of one call's number; ``{code}``
    institution, ``{admdvs}`` place of care, ``{time}`` China time, ``{n}`` the ledger's counter.  A family that has no
    such number on its wire keeps it in the journal only.  serial: the ref kind under which a message says its own msgid ("" =
    no such place); a second phase or a reversal names the original's under the kinds whose ``names`` is that kind.
    echoes: what a reply must repeat if it says it at all.

    Raises: ContractError when the route names a message that the dialect doesn't have.
    """

    own_calls: frozenset[str] = frozenset()
    """Calls of a route that are no message of the dialect: a subclass's own."""

    def __init__(
        self,
        name: str,
        site: Site,
        dialect: Dialect,
        route: Route,
        policy: Policy,
        capabilities: Capabilities,
        path: str = "",
        *,
        msgid: str = MSGID,
        serial: str = "",
        echoes: Sequence[Echo] = (),
    ) -> None:
        self._verbs = {message.message: message.verb for message in dialect.messages}
        known = self._verbs.keys() | self.own_calls
        unknown = [f"{step.name}: {step.call}" for step in route.steps.values() if step.call not in known]
        if unknown:
            raise ContractError(f"gateway {name}: dialect {dialect.name} has no message for {', '.join(unknown)}")
        self.name = name
        self.site = site
        self.dialect = dialect
        self.route = route
        self.policy = policy
        self.capabilities = capabilities
        self.path = path
        self._msgid = msgid
        self._serial = serial
        self._echoes = tuple(echoes)

    def msgid(self, moment: datetime, sequence: int) -> str:
        return self._msgid.format(
            code=self.site.fixmedins_code, admdvs=self.site.admdvs, time=china(moment), n=sequence
        )

    def encode(self, call: Call, moment: datetime) -> Frame:
        frame = self.dialect.encode_request(self._operation(call))
        return replace(frame, path=self.path or frame.path)

    def decode(self, call: Call, frame: Frame) -> Reply:
        reply = self.dialect.decode_reply(self._operation(call), frame)
        if reply.mark is not Mark.OK:
            return reply
        if frame.status not in (None, 200):
            return Reply(Mark.UNREADABLE, reply.code, f"HTTP {frame.status} with a reply that says success")
        result = reply.content.get("result")
        if not reply.refs or result is None:
            return reply
        return replace(reply, content={**reply.content, "result": {**result, REFS: dict(reply.refs)}})

    def echo_faults(self, call: Call, reply: Reply) -> tuple[str, ...]:
        faults = []
        for asked_at, told_at in self._echoes:
            asked, told = _value(call.content, asked_at), _value(reply.content, told_at)
            if asked and told and asked != told:
                faults.append(asked_at)
        return tuple(faults)

    def faults(self, call: Call) -> tuple[Fault, ...]:
        try:
            self.dialect.encode_request(self._operation(call))
        except TranslationError as error:
            return error.faults
        return ()

    def _operation(self, call: Call) -> Operation:
        """The call as the dialect's own HIS would ask it, made out to this institution."""
        return Operation(
            verb=self._verbs[call.message],
            message=call.message,
            dialect=self.dialect.name,
            content={**call.content, "env": {**call.content.get("env", {}), **self._place_of_care()}},
            refs=self._refs(call),
        )

    def _place_of_care(self) -> Content:
        return {
            "mdtrtarea_admvs": self.site.admdvs,
            "fixmedins_code": self.site.fixmedins_code,
            "fixmedins_name": self.site.fixmedins_name,
        }

    def _refs(self, call: Call) -> dict[str, str]:
        """The call's references: what its trial and its settlement brought, and the original that a reversal or a second phase
        names, under the original's kinds."""
        brought = (call.content.get(section, {}).get(REFS, {}) for section in ("trial", "settled"))
        known: dict[str, str] = {kind: value for refs in (*brought, call.refs) for kind, value in refs.items()}
        original = call.content.get("original", {}).get("omsgid", "")
        named = {**known, **({self._serial: original} if self._serial and original else {})}
        renamed = {kind: named[spec.names] for kind, spec in self.dialect.refs.items() if spec.names in named}
        return {**renamed, **known, **({self._serial: call.msgid} if self._serial else {})}


def _value(content: Mapping[str, Any], path: str) -> str:
    section, _, name = path.partition(".")
    value = content.get(section, {}).get(name)
    return "" if value is None else str(value)
