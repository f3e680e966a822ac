"""Provinces and plugins: what is loaded, what it can do, how its way out is; a playground for messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

from litestar import Response, get, post

from adapter_core.formats.text import decode_text, encode_text
from adapter_core.operations.rehearsal_notes import kept
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    counter_of,
    looked,
    page,
    posted,
    text_of,
    visitor,
)
from adapter_core.sidecar.console.today import board
from adapter_core.standard.transactions import all_infnos, transaction
from adapter_core.values.errors import AdapterError, Fault, TranslationError

PROVINCES = f"{HOME}/provinces"
TRANSLATE = f"{HOME}/translate"
MESSAGE_MAX = 200_000


class Said(NamedTuple):
    """One value of a translated message: its national path, the field's Chinese name ("" where it has none), the value."""

    path: str
    title: str
    value: str


@get(PROVINCES)
async def provinces(request: Asked) -> Response[bytes]:
    who = visitor(request, Right.WATCH)
    counter = counter_of(request)
    await looked(request, "provinces")
    seen = await board(counter, who.place, "day")
    running = counter.desk.running
    return page(
        request,
        "provinces.html",
        loaded=running.plugins.provinces,
        broken=running.plugins.broken,
        messages=_messages(counter),
        ways=seen.ways,
        notices=seen.notices,
        gateway=who.place.gateway,
        capabilities=asdict(who.place.gateway.capabilities),
        plain_http=_plain_http(counter, who.place.org),
        rehearsals=kept(counter.config),
        latencies=counter.trend.latencies(),
        last_sign_in=counter.trend.last_sign_in,
        skew=counter.instruments.clock_check.skew,
    )


def _plain_http(counter: Counter, org: str) -> str:
    """Why an institution's usual gateway is reached without TLS; "" where it is not."""
    settings = counter.config.settings
    institution = next(one for one in settings.every_institution if one.fixmedins_code == org)
    return settings.every_gateway[settings.gateway_of(institution)].plain_http or ""


@get(TRANSLATE)
async def playground(request: Asked) -> Response[bytes]:
    visitor(request, Right.WATCH)
    names = counter_of(request).desk.running.plugins.dialect_names()
    return page(
        request, "translate.html", names=names, asked={}, operation=None, said=(), written="", faults=(), wrong=""
    )


@post(TRANSLATE, status_code=200)
async def translate(request: Asked) -> Response[bytes]:
    """One request read, nothing sent and nothing kept: its national fields, its faults, and itself in another format."""
    visitor(request, Right.WATCH)
    counter, form = counter_of(request), posted(request)
    names = counter.desk.running.plugins.dialect_names()
    asked = {name: text_of(form, name, 100) for name in ("source", "target", "name")}
    asked["text"] = str(form.get("text", ""))[:MESSAGE_MAX].replace("\r\n", "\n")
    facts: dict[str, Any] = {"operation": None, "said": (), "written": "", "faults": (), "wrong": ""}
    try:
        read_by = counter.desk.site_dialect(asked["source"])
        raw = encode_text(asked["text"], read_by.charset)
        operation = read_by.decode_request(read_by.read_frame_file(raw, asked["name"] or "message.txt"))
        facts |= {"operation": operation, "said": list(flattened(operation.content))}
        facts |= _written(counter, operation, asked["target"])
    except TranslationError as error:
        facts |= {"faults": error.faults, "wrong": error.message_zh}
    except AdapterError as error:
        facts |= {"faults": (Fault("", "", str(error)),), "wrong": error.message_zh or str(error)}
    return page(request, "translate.html", names=names, asked=asked, **facts)


def _written(counter: Counter, operation: Operation, target: str) -> dict[str, Any]:
    """The same in another format, where one was chosen and can say it."""
    if not target:
        return {}
    written_by: Dialect = counter.desk.site_dialect(target)
    text, _ = decode_text(written_by.write_frame_file(written_by.encode_request(operation)), written_by.charset)
    return {"written": text}


def flattened(tree: Any, path: str = "") -> Iterator[Said]:
    """Every value with its path, in the message's order."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flattened(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, (list, tuple)):
        for place, value in enumerate(tree):
            yield from flattened(value, f"{path}[{place}]")
    else:
        yield Said(path, field_names().get(path.rpartition(".")[2], ""), str(tree))


@cache
def field_names() -> dict[str, str]:
    """National field code → its Chinese name in the first table that has it."""
    found: dict[str, str] = {}
    for infno in all_infnos():
        one = transaction(infno)
        for node in (*one.nodes("input"), *one.nodes("output")):
            for field in node.fields:
                found.setdefault(field.canonical, field.name)
    return found


def _messages(counter: Counter) -> dict[str, int]:
    """Dialect → how many messages it knows, of those that are loaded already or quick to load."""
    running = counter.desk.running
    kept: dict[str, int] = counter.kept.setdefault("messages", {})
    for one in running.plugins.provinces:
        for name, make in one.dialects.items():
            if name not in kept:
                kept[name] = len(make({}).messages)
    return kept


ROUTES = [provinces, playground, translate]
