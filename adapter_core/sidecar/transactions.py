"""``POST /v1/transactions/{infno}``: any query of the national standard, and filings (25xx), with their ``input``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from adapter_core.formats.json import write_json
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.relay import NAME, RelayDialect
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, preferred_wait, tree_of
from adapter_core.sidecar.relays import relay_place
from adapter_core.standard.codec import codec
from adapter_core.standard.transactions import transaction
from adapter_core.values.errors import Fault, NotSupported, TranslationError

FILINGS = "25"
DIALECT = RelayDialect()


@post("/v1/transactions/{infno:str}", operation_id="transaction", status_code=200)
async def run(request: Caller, infno: FromPath[str]) -> Response[bytes]:
    """One call to the centre; queries are repeated under a new msgid when no answer came, a filing is sent once."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    tree = tree_of(request)
    described = transaction(infno)
    if described.kind_class != "R" and not infno.startswith(FILINGS):
        text = "该交易不能单独发送，请使用结算、就诊或退费接口"
        raise NotSupported(f"{infno} is class {described.kind_class}: not sent by itself", message_zh=text)
    place = relay_place(desk.place(client, institution_named(tree)), infno)
    operation = Operation("relay", infno, NAME, content=_content(infno, tree, place.defaults))
    wait_s = preferred_wait(request, None)
    outcome = await desk.running.pipeline.handle(place, DIALECT, operation, wait_s)
    return json_response(write_json(_answer(infno, outcome)))


def _content(infno: str, tree: dict[str, Any], defaults: Mapping[str, str]) -> dict[str, Any]:
    """Raises: TranslationError with every fault of the input."""
    given = tree.get("input")
    faults = [] if isinstance(given, dict) else [Fault("input", "an object", type(given).__name__)]
    operator = tree.get("operator") or {}
    if not isinstance(operator, dict):
        faults.append(Fault("operator", "an object", type(operator).__name__))
    if not faults:
        faults += codec(infno).read_input(given).faults
    if faults:
        raise TranslationError(faults)
    content: dict[str, Any] = {"relay": {"envelope": {}, infno: given}}
    usual = {path.removeprefix("env."): value for path, value in defaults.items() if path.startswith("env.")}
    content["env"] = {**usual, **{str(name): str(value) for name, value in operator.items() if value not in (None, "")}}
    if tree.get("insuplc_admdvs"):
        content["person"] = {"insuplc_admdvs": str(tree["insuplc_admdvs"])}
    return content


def _answer(infno: str, outcome: Outcome) -> dict[str, Any]:
    reply = outcome.content.get("reply", {})
    return {
        "infno": infno,
        "msgid": outcome.content.get("call", {}).get("msgid", ""),
        "state": outcome.state,
        "code": outcome.code,
        "message_zh": outcome.message_zh,
        "next": list(outcome.next),
        "infcode": None if reply.get("infcode") is None else str(reply["infcode"]),
        "err_msg": reply.get("err_msg") or None,
        "output": reply.get("output"),
    }


ROUTES = [run]
