"""Where the ``paper`` commands are served: by the office over this ledger, or by the service that holds it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.bootstrap.site import plugins as loaded_plugins
from adapter_core.bootstrap.site import site_dialect
from adapter_core.cli.playing import find_case
from adapter_core.cli.remote import Service, listens
from adapter_core.config import Config
from adapter_core.formats.json import read_json
from adapter_core.paperwork import rendering
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.office import PaperOffice, PaperSet
from adapter_core.paperwork.receipts import dot_matrix
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.values.errors import Refused

PrintedFile = tuple[str, bytes]
"""A name and its content."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of the papers wanted.  message: a file of the HIS's own, for a visit that was never tried."""

    reason: str = ""
    situations: tuple[str, ...] = ()
    region: str = ""
    message: Path | None = None
    dialect: str = "national"
    institution: str = ""

    @property
    def wish(self) -> Wish | None:
        """None where nothing is said: the standing papers are shown again then."""
        said = Wish(self.reason, self.situations, self.region)
        return said if said != Wish() else None

    def operation(self, config: Config) -> tuple[Dialect, Operation] | None:
        if self.message is None:
            return None
        dialect = site_dialect(config, loaded_plugins(config.settings.plugins), self.dialect)
        return dialect, dialect.decode_request(dialect.read_frame_file(self.message.read_bytes(), self.message.name))


@dataclass(frozen=True, slots=True)
class Printed:
    """facts: what an answer says of a set; files: its PDF and its data."""

    facts: Mapping[str, Any]
    files: Sequence[PrintedFile]

    @property
    def document(self) -> dict[str, Any]:
        """The set's own data."""
        data: dict[str, Any] = json.loads(self.files[1][1])
        return data


class Counter(Protocol):
    """Each raises: Refused, TranslationError, and what the ledger raises."""

    async def open(self, key: str, asked: Asked) -> Printed: ...

    async def reprint(self, serial: str) -> Printed: ...

    async def step(self, serial: str, what: str, order: Mapping[str, str]) -> str:
        """what: revoke, submit or close; gives the state after it."""

    async def batch(self, serials: Sequence[str], employer: str, handed_to: str) -> tuple[dict[str, Any], bytes]: ...

    async def slip(self, key: str) -> PrintedFile: ...

    async def receipt(self, key: str, form: str) -> bytes: ...


@asynccontextmanager
async def counter(config: Config) -> AsyncIterator[Counter]:
    """The service's where one is up: it holds the ledger; else an office of our own."""
    if listens(config):
        async with Service(config) as service:
            yield ServiceCounter(config, service)
    else:
        async with adapter(config) as running:
            yield OwnCounter(running)


class OwnCounter:
    """Each paper, and each visit that was tried, belongs to an institution: its office serves it."""

    def __init__(self, running: Adapter) -> None:
        self._running = running

    async def open(self, key: str, asked: Asked) -> Printed:
        message = asked.operation(self._running.config)
        if message is None:
            office, visit_key = await self._of_visit(key, asked.institution)
        else:
            office, visit_key = self._named(asked.institution), message[1].keys.get("visit") or key
        return await printed(await office.open(visit_key, asked.wish, message))

    async def reprint(self, serial: str) -> Printed:
        return await printed(await (await office_that_issued(self._running, serial)).reprint(serial))

    async def step(self, serial: str, what: str, order: Mapping[str, str]) -> str:
        office = await office_that_issued(self._running, serial)
        match what:
            case "revoke":
                case = await office.revoke(serial, **order)
            case "submit":
                case = await office.submit(serial, **order)
            case _:
                case = await office.close(serial, **order)
        return str(case.state)

    async def batch(self, serials: Sequence[str], employer: str, handed_to: str) -> tuple[dict[str, Any], bytes]:
        office = await office_that_issued(self._running, serials[0] if serials else "")
        sheet = await office.batch(serials, employer, handed_to)
        return sheet, await asyncio.to_thread(rendering.pdf, "batch", sheet)

    async def slip(self, key: str) -> PrintedFile:
        office, visit_key = await self._of_visit(key, "")
        slip = await office.slip(visit_key)
        return f"{slip['work_order']}.pdf", await asyncio.to_thread(rendering.pdf, "hold_slip", slip)

    async def receipt(self, key: str, form: str) -> bytes:
        case = await find_case(self._running, key)
        made = await self._named(case.org).receipt(case, form)
        if form == "241":
            return dot_matrix(made).encode()
        return await asyncio.to_thread(rendering.pdf, "receipt", made)

    async def _of_visit(self, key: str, institution: str) -> tuple[PaperOffice, str]:
        """A visit by its own key, or by that of a settlement of it, with its institution's office."""
        try:
            case = await find_case(self._running, key)
        except Refused:
            return self._named(institution), key
        return self._named(case.org), case.visit_key

    def _named(self, institution: str) -> PaperOffice:
        """Raises: ConfigError where several are served and none is named."""
        return self._running.office(self._running.place_named(institution))


async def office_that_issued(running: Adapter, serial: str) -> PaperOffice:
    """The office of the institution that issued a serial; of the first one where none did, which says so."""
    for place in running.every_place:
        office = running.office(place)
        try:
            await office.case(serial)
        except Refused:
            continue
        return office
    return running.office()


class ServiceCounter:
    def __init__(self, config: Config, service: Service) -> None:
        self._config = config
        self._service = service

    async def open(self, key: str, asked: Asked) -> Printed:
        order: dict[str, Any] = {
            "reason": asked.reason,
            "insuplc_admdvs": asked.region,
            "fixmedins_code": asked.institution,
        }
        order = {name: value for name, value in order.items() if value}
        if asked.situations:
            order["situations"] = list(asked.situations)
        message = asked.operation(self._config)
        if message is None:
            visit_key = await self._visit_key(key)
        else:
            visit_key = message[1].keys.get("visit") or key
            order["settlement"] = read_json(NationalDialect().encode_request(message[1]).body)
        return await self._printed(await self._service.order(f"/v1/visits/{quote(visit_key, safe='')}/paper", order))

    async def reprint(self, serial: str) -> Printed:
        return await self._printed(await self._service.read(f"/v1/papers/{quote(serial, safe='')}"))

    async def step(self, serial: str, what: str, order: Mapping[str, str]) -> str:
        said = {name: value for name, value in order.items() if value}
        answer = read_json(await self._service.order(f"/v1/papers/{quote(serial, safe='')}/{what}", said))
        return str(answer["state"])

    async def batch(self, serials: Sequence[str], employer: str, handed_to: str) -> tuple[dict[str, Any], bytes]:
        order = {"serials": list(serials), "employer": employer, **({"handed_to": handed_to} if handed_to else {})}
        sheet: dict[str, Any] = read_json(await self._service.order("/v1/paper-batches", order))
        return sheet, await self._service.read(sheet["pdf"])

    async def slip(self, key: str) -> PrintedFile:
        visit_key = await self._visit_key(key)
        pdf = await self._service.read(f"/v1/visits/{quote(visit_key, safe='')}/hold-slip.pdf")
        return f"{key}-slip.pdf".replace("/", "_"), pdf

    async def receipt(self, key: str, form: str) -> bytes:
        return await self._service.order(f"/v1/settlements/{quote(key, safe='')}/receipt", {"paper": form})

    async def _printed(self, answer: bytes) -> Printed:
        facts = read_json(answer)
        name = f"{facts['serial']}-v{facts['version']}"
        pdf, data = await self._service.read(facts["pdf"]), await self._service.read(facts["json"])
        return Printed(facts, [(f"{name}.pdf", pdf), (f"{name}.json", data)])

    async def _visit_key(self, key: str) -> str:
        try:
            answer = read_json(await self._service.read(f"/v1/settlements/{quote(key, safe='')}"))
        except Refused:
            return key
        return str(answer["visit_key"])


async def printed(made: PaperSet) -> Printed:
    """A set with its PDF and the same data as JSON."""
    name = f"{made.serial}-v{made.document['version']}"
    pdf = await asyncio.to_thread(made.pdf)
    return Printed(made.facts, [(f"{name}.pdf", pdf), (f"{name}.json", made.machine_readable())])
