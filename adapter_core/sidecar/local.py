"""``POST /his/{dialect}``: the HIS's own local message in, the same form out: JSON, SOAP 1.1 and 1.2, text in GBK or UTF-8.

The body is the message.  What a function call carries beside its text comes in headers: ``X-Message`` (the code, where the text
doesn't hold it), ``X-Side-<name>`` (what only the workstation knows, percent-encoded UTF-8), ``X-Institution`` (the
``fixmedins_code``, from a client that acts for several).  A shim that stands in for a DLL sends
and gets the whole call as ``application/vnd.his-adapter.frame+json``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import get, post
from litestar.params import FromPath

from adapter_core.formats.json import write_json
from adapter_core.formats.soap import wsdl_at
from adapter_core.formats.text import decode_text, encode_text
from adapter_core.province.dialect import Dialect
from adapter_core.province.table_dialect import TableDialect
from adapter_core.settlement.answers import outcome_data
from adapter_core.sidecar.access import Client, Right
from adapter_core.sidecar.desk import Caller, Desk, body_of, caller, desk_of, preferred_wait, tree_of
from adapter_core.sidecar.frames import Answered, answered_anyhow
from adapter_core.sidecar.problems import MEDIA_TYPE, BadBody, internal_problem, problem_of
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.sidecar.told import encode
from adapter_core.standard.source import schema_file
from adapter_core.values.copies import replace
from adapter_core.values.errors import ContractError, Fault, NotSupported, Refused, TranslationError
from adapter_core.values.frames import Frame

FRAME_TYPE = "application/vnd.his-adapter.frame+json"
PLAYED_TYPE = "application/vnd.his-adapter.played+json"
"""For our own command line: what came of the message beside its answer."""
SIDE_PREFIX = "x-side-"
INSTITUTION = "x-institution"
CLIENT_WAIT_S = 55.0


@post("/his/{dialect:str}", operation_id="local_message", status_code=200)
async def local_message(request: Caller, dialect: FromPath[str]) -> HttpAnswer:
    """One message of a HIS's own local interface, answered in the same form."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    place = desk.place(client, _institution(request))
    spoken = _dialect(desk, dialect, place.org)
    charset = _declared_charset(request)
    as_call = _media_type(request) == FRAME_TYPE
    try:
        frame = _call_frame(request) if as_call else _text_frame(request, spoken, charset)
    except (TranslationError, NotSupported) as error:
        raise BadBody(getattr(error, "faults", ())) from None
    wait_s = preferred_wait(request, hold_s(desk, client))
    came = await answered_anyhow(desk.running, place, spoken, frame, wait_s)
    if request.headers.get("accept") == PLAYED_TYPE:
        return _as_played(came)
    return _as_call(came) if as_call else _as_text(came, spoken, charset, frame)


@get("/his/{dialect:str}", operation_id="local_wsdl", security=[])
async def local_wsdl(request: Caller, dialect: FromPath[str]) -> HttpAnswer:
    """The dialect's WSDL with this service's own address, at ``?wsdl``."""
    desk = desk_of(request)
    spoken = _dialect(desk, dialect)
    name = spoken.wsdl if isinstance(spoken, TableDialect) and desk.running.config.settings.http.describe else ""
    if request.scope["query_string"].lower() != b"wsdl" or not name:
        raise Refused("no WSDL here", code="NOT_FOUND", message_zh="该接口没有 WSDL")
    address = f"{request.base_url.scheme}://{request.base_url.netloc}/his/{dialect}"
    text = wsdl_at(schema_file("his", *name.split("/")).read_bytes(), address)
    return HttpAnswer(text, media_type="text/xml; charset=utf-8")


def hold_s(desk: Desk, client: Client) -> float:
    """How long an old client's request is held before it hears that the result isn't known."""
    settings = desk.client_settings(client.name)
    return CLIENT_WAIT_S if settings is None else settings.hold_s


def _institution(request: Caller) -> str | None:
    """The institution a local message comes from: its form has no place for it, so a client of several says it in a header."""
    return request.headers.get(INSTITUTION) or None


def _dialect(desk: Desk, name: str, org: str = "") -> Dialect:
    if name not in desk.running.plugins.dialect_names():
        raise Refused(f"no dialect {name[:40]}", code="NO_SUCH_DIALECT", message_zh="没有这个本地接口，请核对地址")
    return desk.site_dialect(name, org)


def _media_type(request: Caller) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _declared_charset(request: Caller) -> str:
    for part in request.headers.get("content-type", "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""


def _is_other(declared: str, charset: str) -> bool:
    """Whether bytes must be written anew: the GBK family is one charset to a reader."""

    def family(name: str) -> str:
        return "utf-8" if name in ("utf-8", "utf8") else "gb"

    return bool(declared) and family(declared) != family(charset)


def _text_frame(request: Caller, dialect: Dialect, charset: str) -> Frame:
    """The message as the dialect's own frame.  XML says its charset itself.

    Raises: TranslationError, NotSupported.
    """
    body = body_of(request)
    if _is_other(charset, dialect.charset) and not body.lstrip().startswith(b"<"):
        try:
            body = encode_text(decode_text(body, charset)[0], dialect.charset)
        except ContractError as error:
            raise TranslationError([Fault("Content-Type", "charset utf-8 or gbk", charset[:20])]) from error
    frame = dialect.read_frame_file(body, unquote(request.headers.get("x-message", "")))
    side = {name[len(SIDE_PREFIX) :]: unquote(value) for name, value in request.headers.items() if _is_side(name)}
    headers = tuple((name, value) for name, value in request.headers.items() if name in ("content-type", "soapaction"))
    return replace(frame, path=request.scope["path"], headers=headers, side=side)


def _is_side(name: str) -> bool:
    return name.startswith(SIDE_PREFIX)


def _as_text(came: Answered, dialect: Dialect, charset: str, asked: Frame) -> HttpAnswer:
    if came.frame is None:
        return _untellable(came)
    body = dialect.write_frame_file(came.frame)
    status = came.frame.status or 200
    kind = came.frame.header("Content-Type") or f"text/plain; charset={dialect.charset}"
    if _is_other(charset, dialect.charset) and not body.lstrip().startswith(b"<"):
        body = encode_text(decode_text(body, dialect.charset)[0], charset)
        kind = f"{kind.partition(';')[0]}; charset={charset}"
    if came.error is not None and _is_unreadable(came, dialect, asked):
        status = 400
    return HttpAnswer(body, status_code=status, headers={"Content-Type": kind})


def _is_unreadable(came: Answered, dialect: Dialect, asked: Frame) -> bool:
    """No message of this family at all: no HIS of its sent that, so HTTP may say so."""
    if not isinstance(came.error, TranslationError) or not isinstance(dialect, TableDialect):
        return isinstance(came.error, TranslationError)
    try:
        dialect.table.open(asked, "ask")
    except TranslationError:
        return True
    return False


def _untellable(came: Answered) -> HttpAnswer:
    """The family has no form for it: a problem of ours."""
    if came.error is None:
        return HttpAnswer(internal_problem(), status_code=500, media_type=MEDIA_TYPE)
    status, headers, body = problem_of(came.error)
    return HttpAnswer(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers))


def _call_frame(request: Caller) -> Frame:
    """A function call as JSON: ``function``, ``ins`` (name → base64), ``side``.  Raises: TranslationError."""
    tree = tree_of(request)
    faults: list[Fault] = []
    ins = {str(name): _bytes(value, f"ins.{name}", faults) for name, value in _texts(tree, "ins", faults).items()}
    function = tree.get("function", "")
    if not isinstance(function, str):
        faults.append(Fault("function", "a text", type(function).__name__))
    if faults:
        raise TranslationError(faults)
    return Frame(path=request.scope["path"], function=function, ins=ins, side=_texts(tree, "side", faults))


def _texts(tree: Mapping[str, Any], name: str, faults: list[Fault]) -> dict[str, str]:
    found = tree.get(name) or {}
    if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
        return found
    faults.append(Fault(name, "an object of texts", type(found).__name__))
    return {}


def _bytes(text: str, path: str, faults: list[Fault]) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        faults.append(Fault(path, "base64", "something else"))
        return b""


def _as_call(came: Answered) -> HttpAnswer:
    if came.frame is None:
        return _untellable(came)
    outs = {name: base64.b64encode(raw).decode("ascii") for name, raw in came.frame.outs.items()}
    if came.frame.body:
        outs["body"] = base64.b64encode(came.frame.body).decode("ascii")
    return HttpAnswer(encode({"ret": came.frame.ret, "outs": outs}), headers={"Content-Type": FRAME_TYPE})


def _as_played(came: Answered) -> HttpAnswer:
    if came.error is not None:
        status, _, body = problem_of(came.error)
        problem = {**msgspec.json.decode(body), "answer": _frame_data(came.frame)}
        return HttpAnswer(encode(problem), status_code=status, media_type=MEDIA_TYPE)
    assert came.outcome is not None
    told = outcome_data(came.outcome)
    told["content"] = {"result": came.outcome.content.get("result", {})}
    body = write_json({"told": told, "answer": _frame_data(came.frame)})
    return HttpAnswer(body, headers={"Content-Type": PLAYED_TYPE})


def _frame_data(frame: Frame | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    outs = {name: base64.b64encode(raw).decode("ascii") for name, raw in frame.outs.items()}
    body = base64.b64encode(frame.body).decode("ascii")
    return {"ret": frame.ret, "outs": outs, "body": body, "status": frame.status}


ROUTES = [local_message, local_wsdl]
