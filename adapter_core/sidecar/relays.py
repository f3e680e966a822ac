"""One relayed call: its gateway sends what came, on a route made for that transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.catalogues.asking import Ask
from adapter_core.catalogues.downloads import FILE_CALL, FILE_MARK, FILE_NODE
from adapter_core.province.gateway import Gateway
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.national import NationalGateway
from adapter_core.province.relay import NAME, RelayDialect, RelayGateway
from adapter_core.settlement.place import Place
from adapter_core.standard.codec import codec
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import Fault, NotSupported, TranslationError

DIALECT = RelayDialect()
CATALOGUES = "13"
FILE_TYPE = "application/octet-stream"


def relay_place(place: Place, infno: str, bulk: bool = False) -> Place:
    """bulk: as of `RelayGateway`.  Raises: NotSupported where the way out is no national gateway."""

    def relayed(gateway: Gateway) -> RelayGateway | None:
        return RelayGateway(gateway, infno, bulk) if isinstance(gateway, NationalGateway) else None

    ways = place.ways.mapped(relayed)
    own = ways.named[place.way].gateway if place.way in ways.named else relayed(place.gateway)
    if own is not None:
        return replace(place, gateway=own, ways=ways)
    if not ways.named:
        text = "本机构的医保线路不是国家接口，不能转发国家接口报文，未发送"
        raise NotSupported("the gateway speaks no national JSON", message_zh=text)
    other = next(iter(ways.named.values()))
    return replace(place, gateway=other.gateway, endpoint=other.endpoint, way=other.name, ways=ways)


class Relays:
    """The places of relayed calls, each made once: a route for one transaction takes longer than what is sent on it."""

    def __init__(self, running: Adapter) -> None:
        self._running = running
        self._made: dict[tuple[str, str, bool], tuple[Place, Place]] = {}

    def of(self, place: Place, infno: str, given: Mapping[str, Any]) -> Place:
        """As `prepared`."""
        what = (place.org, infno, infno == FILE_CALL and _is_file(infno, given))
        made = self._made.get(what)
        if made is None or made[0] is not place:
            made = self._made[what] = (place, prepared(self._running, place, infno, given))
        return made[1]


def prepared(running: Adapter, place: Place, infno: str, given: Mapping[str, Any]) -> Place:
    """The place of a relayed call with this input: what is public and large is so journalled, and a catalogue's file has its time."""
    way = relay_place(place, infno, bulk=_is_public(infno, given))
    if _is_file(infno, given):
        patience_s = running.config.settings.catalogues.file_deadline
        for one in way.every_way():
            one.gateway.capabilities = replace(one.gateway.capabilities, read_deadline_s=patience_s)
    return way


def relaying(
    running: Adapter,
    place: Place,
    operator: Mapping[str, Any] | None = None,
    insuplc_admdvs: str = "",
    wait_s: float | None = None,
) -> Ask:
    """A way to ask the centre of this place by this process's own pipeline.

    It raises TranslationError with every fault of an input; NotSupported as `relay_place`.
    """

    async def ask(infno: str, given: Content) -> Outcome:
        content = _content(infno, given, place.defaults, operator or {}, insuplc_admdvs)
        way = prepared(running, place, infno, given)
        operation = Operation("relay", infno, NAME, content=content)
        return await running.pipeline.handle(way, DIALECT, operation, wait_s)

    return ask


def _is_file(infno: str, given: Mapping[str, Any]) -> bool:
    """Whether a catalogue's file is fetched."""
    record = given.get(FILE_NODE)
    return infno == FILE_CALL and isinstance(record, Mapping) and FILE_MARK in record.values()


def _is_public(infno: str, given: Mapping[str, Any]) -> bool:
    """Whether the answer is public and large: catalogues and their files."""
    return infno.startswith(CATALOGUES) or _is_file(infno, given)


def _content(
    infno: str, given: object, defaults: Mapping[str, str], operator: object, insuplc_admdvs: str
) -> dict[str, Any]:
    """Raises: TranslationError with every fault of the input."""
    faults = [] if isinstance(given, dict) else [Fault("input", "an object", type(given).__name__)]
    if not isinstance(operator, Mapping):
        faults.append(Fault("operator", "an object", type(operator).__name__))
    if not faults:
        faults += codec(infno).read_input(given).faults
    if faults:
        raise TranslationError(faults)
    assert isinstance(operator, Mapping)
    content: dict[str, Any] = {"relay": {"envelope": {}, infno: given}}
    usual = {path.removeprefix("env."): value for path, value in defaults.items() if path.startswith("env.")}
    content["env"] = {**usual, **{str(name): str(value) for name, value in operator.items() if value not in (None, "")}}
    if insuplc_admdvs:
        content["person"] = {"insuplc_admdvs": insuplc_admdvs}
    return content
