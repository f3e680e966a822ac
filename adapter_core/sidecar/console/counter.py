"""What every page works with: the service's parts, the visitor, the form as sent, and the page that is answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.datastructures import FormMultiDict, UploadFile

from adapter_core.config import Config
from adapter_core.ledger.listing import CaseLists
from adapter_core.operations.instruments import Instruments
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.sidecar.access import Client, Right
from adapter_core.sidecar.console.sheets import Pages
from adapter_core.sidecar.console.staff import Session, Staff, User
from adapter_core.sidecar.console.trend import Trend
from adapter_core.sidecar.desk import Desk
from adapter_core.values.errors import LedgerUnavailable
from adapter_core.values.moments import Clock, iso

Asked = Request[Any, Any, Any]
HOME = "/console"
TEXT_MAX = 500
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counter:
    """The console's own parts on a running service."""

    desk: Desk
    staff: Staff
    trend: Trend
    instruments: Instruments
    pages: Pages
    clock: Clock
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return self.desk.running.config

    @property
    def place(self) -> Place:
        return self.desk.running.place

    @property
    def lists(self) -> CaseLists:
        return CaseLists(self.desk.running.ledger)

    def now(self) -> str:
        return iso(self.clock.wall())

    async def note(self, kind: str, who: str, facts: Mapping[str, Any], case: Case | None = None) -> None:
        """What somebody looked at or did, in the journal.  Raises: LedgerUnavailable."""
        running = self.desk.running
        event = Event(
            kind,
            self.now(),
            case.case_id if case else "",
            case.encounter_id if case else "",
            {"user": who, **facts},
        )
        org = case.org if case else self.place.org
        await (running.kept or running.ledger).commit(Change(org, events=(event,)))

    async def hand_over(self) -> None:
        """Move what the users' file noted into the journal."""
        deeds = self.staff.deeds()
        if not deeds:
            return
        running = self.desk.running
        events = tuple(
            Event("STAFF", deed.at, data={"user": deed.who, "deed": deed.deed, "about": deed.about}) for deed in deeds
        )
        await (running.kept or running.ledger).commit(Change(self.place.org, events=events))
        self.staff.handed_over(deeds[-1].ordinal)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody signed in.  place: the institution whose lists are shown."""

    user: User
    session: Session
    client: Client
    place: Place

    @property
    def name(self) -> str:
        """As it stands in the journal: the person's own name with the user's."""
        return f"{self.user.title}({self.user.name})" if self.user.title != self.user.name else self.user.name

    def may(self, right: Right) -> bool:
        return self.client.may(right)


def counter_of(request: Asked) -> Counter:
    counter: Counter = request.app.state.counter
    return counter


def visitor(request: Asked, right: Right) -> Visitor:
    """Who asks, who has this right.  Raises: Forbidden."""
    found: Visitor = request.scope["state"]["visitor"]
    found.client.demand(right)
    return found


def posted(request: Asked) -> FormMultiDict:
    """The form, whose CSRF token was checked."""
    form: FormMultiDict = request.scope["state"]["form"]
    return form


def text_of(form: FormMultiDict, name: str, most: int = TEXT_MAX) -> str:
    """A field as text, stripped and cut; "" where it is missing."""
    value = form.get(name, "")
    return value.strip()[:most] if isinstance(value, str) else ""


async def file_of(form: FormMultiDict, name: str) -> tuple[str, bytes] | None:
    """An uploaded file's name and bytes; None where none was chosen."""
    value = form.get(name)
    if not isinstance(value, UploadFile) or not value.filename:
        return None
    return value.filename, await value.read()


def page(request: Asked, template: str, status: int = 200, **facts: Any) -> Response[bytes]:
    """A page in the visitor's language."""
    counter = counter_of(request)
    found: Visitor | None = request.scope["state"].get("visitor")
    flash = ""
    if found is not None and found.session.flash:
        flash = found.session.flash
        counter.staff.flash(found.session, "")
    body = counter.pages.render(
        template,
        language=language_of(request),
        visitor=found,
        flash=flash,
        path=request.scope["path"],
        house=(found.place if found else counter.place).site.fixmedins_name,
        institutions=[(one.org, one.site.fixmedins_name) for one in counter.desk.running.every_place],
        environment=counter.config.settings.environment,
        now=counter.clock.wall(),
        **facts,
    )
    return Response(body, status_code=status, media_type="text/html; charset=utf-8")


def language_of(request: Asked) -> str:
    return "en" if request.cookies.get("console_lang") == "en" else "zh"


def see(path: str, request: Asked | None = None, flash: str = "") -> Response[bytes]:
    """Look there next (303).  flash: what that page says first."""
    if flash and request is not None:
        found: Visitor = request.scope["state"]["visitor"]
        counter_of(request).staff.flash(found.session, flash[:TEXT_MAX])
    return Response(b"", status_code=303, headers={"Location": quote(path, safe="/?&=%#.-_~:")})


def pdf(content: bytes, name: str) -> Response[bytes]:
    return Response(
        content, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


async def looked(request: Asked, page_name: str, case: Case | None = None, **about: Any) -> None:
    """This look, in the journal; a ledger that can't be written keeps nobody from a masked page, and the log says so."""
    counter = counter_of(request)
    found: Visitor = request.scope["state"]["visitor"]
    try:
        await counter.note("LOOKED", found.name, {"page": page_name, **about}, case)
    except LedgerUnavailable:
        _log.error("%s looked at %s, which can't be journalled", found.user.name, page_name)
