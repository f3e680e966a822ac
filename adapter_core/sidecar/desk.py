"""What every path of the service works with: the running adapter, the caller, the body as it came."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from litestar import Request

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.config import ClientSettings
from adapter_core.formats.json import read_json
from adapter_core.operations.duty import Duty
from adapter_core.province.dialect import Dialect
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.settlement.lanes import Lanes
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Case
from adapter_core.sidecar.access import Client, Forbidden, Right
from adapter_core.sidecar.changes import Changes
from adapter_core.sidecar.problems import BadBody
from adapter_core.sidecar.relays import Relays
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.values.errors import Fault, Refused, TranslationError

WAIT_MAX_S = 25.0
KEY_MAX = 64
Caller = Request[Any, Any, Any]
"""One HTTP request of a known caller."""


@dataclass(slots=True)
class Desk:
    """The service's own parts.  draining: no new work is taken, what runs may end.  duty: who watches it.  relays: the ways of
    calls that are passed on.  creating: one create of a HIS's own at a time, of each kind."""

    running: Adapter
    changes: Changes
    dialect: NationalDialect = field(default_factory=NationalDialect)
    draining: bool = False
    duty: Duty | None = None
    relays: Relays = field(init=False)
    creating: Lanes = field(default_factory=Lanes)
    _dialects: dict[tuple[str, str], Dialect] = field(default_factory=dict)
    _clients: dict[str, ClientSettings] = field(init=False)

    def __post_init__(self) -> None:
        self.relays = Relays(self.running)
        self._clients = {one.name: one for one in self.running.config.settings.clients}

    def site_dialect(self, name: str, org: str = "") -> Dialect:
        """A dialect with the options of the site and the institution, built once: compiling its table takes a while."""
        if (name, org) not in self._dialects:
            self._dialects[name, org] = self.running.dialect(name, org)
        return self._dialects[name, org]

    def client_settings(self, name: str) -> ClientSettings | None:
        return self._clients.get(name)

    def place(self, client: Client, fixmedins_code: str | None = None) -> Place:
        """The institution a call is for: the one it names, or the only one its caller acts for.

        Raises: Forbidden INSTITUTION_FORBIDDEN; TranslationError where several remain.
        """
        if fixmedins_code is None:
            if len(client.institutions) != 1:
                listed = ", ".join(sorted(client.institutions)) or "none"
                raise TranslationError([Fault("fixmedins_code", f"one of {listed}", "nothing", "定点医药机构编号")])
            [fixmedins_code] = client.institutions
        client.demand_institution(fixmedins_code)
        place = self.running.places(fixmedins_code)
        if place is None:
            raise Forbidden("that institution isn't served here", code="INSTITUTION_FORBIDDEN")
        return place

    async def case(self, client: Client, key: str) -> Case:
        """A case of this caller's institutions by settle_key, void_key or case_id.  Raises: Refused NO_SUCH_CASE."""
        ledger = self.running.ledger
        for org in sorted(client.institutions):
            found = await ledger.case_by_key(org, "settle", key) or await ledger.case_by_key(org, "void", key)
            if found is not None:
                return found
        found = await ledger.case(key)
        if found is None or found.org not in client.institutions:
            raise Refused(f"no case {key[:KEY_MAX]}", code="NO_SUCH_CASE", message_zh="没有找到该业务，请核对业务号")
        return found

    def place_of(self, case: Case) -> Place:
        """The place a case runs at.  Raises: Refused for an institution that is no longer served."""
        place = self.running.places(case.org)
        if place is None:
            raise Refused(
                "its institution isn't served here", code="NO_SUCH_CASE", message_zh="该业务的机构未在本机配置"
            )
        return place


def desk_of(request: Caller) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def caller(request: Caller, right: Right) -> Client:
    """The admitted client, who has this right.  Raises: Forbidden."""
    client: Client = request.scope["state"]["caller"]
    client.demand(right)
    return client


def body_of(request: Caller) -> bytes:
    """The body as the door read it, whole."""
    body: bytes = request.scope["state"]["body"]
    return body


def tree_of(request: Caller, optional: bool = False) -> dict[str, Any]:
    """The body as one JSON object.  Raises: BadBody for anything else."""
    body = body_of(request)
    if optional and not body.strip():
        return {}
    try:
        tree = read_json(body)
    except TranslationError as error:
        raise BadBody(error.faults) from None
    if not isinstance(tree, dict):
        raise BadBody((Fault("$", "a JSON object", type(tree).__name__),))
    return tree


def text_field(tree: dict[str, Any], name: str, faults: list[Fault], *, most: int = KEY_MAX, must: bool = True) -> str:
    """A text of the body; its fault joins ``faults``."""
    value = tree.get(name)
    if value is None and not must:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        seen = "nothing" if value in (None, "") else type(value).__name__
        if isinstance(value, str) and len(value) > most:
            seen = f"{len(value)} characters"
        faults.append(Fault(name, f"a text of at most {most} characters", seen))
        return ""
    return value


def institution_named(tree: dict[str, Any]) -> str | None:
    """``fixmedins_code`` of a body, None where it is left out.  Raises: TranslationError."""
    named = tree.get("fixmedins_code")
    if named is None or isinstance(named, str):
        return named or None
    raise TranslationError([Fault("fixmedins_code", "a text", type(named).__name__)])


Usual = TypeVar("Usual", float, None)


def preferred_wait(request: Caller, usual: Usual) -> float | Usual:
    """Seconds of ``Prefer: wait=N``, at most 25; a preference that can't be read is ignored (RFC 7240).  usual: without one; None
    leaves it to the pipeline, which answers for a stay at once."""
    for part in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "wait":
            return _seconds(value.strip().strip('"'), usual)
    return usual


def _seconds(text: str, usual: Usual) -> float | Usual:
    try:
        seconds = float(text)
    except ValueError:
        return usual
    return min(max(seconds, 0.0), WAIT_MAX_S) if math.isfinite(seconds) else usual


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(body, status_code=status, media_type="application/json", headers=headers)
