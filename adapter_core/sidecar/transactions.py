"""``POST /v1/transactions/{infno}``: any query of the national standard, filings (25xx) and the item mapping (3301, 3302)."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.params import FromPath

from adapter_core.catalogues.asking import Ask, is_paged, paged_node, pages
from adapter_core.formats.json import write_json
from adapter_core.province.messages import Outcome
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.desk import Caller, caller, desk_of, institution_named, json_response, preferred_wait, tree_of
from adapter_core.sidecar.relays import FILE_TYPE, relaying
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, NotSupported, Refused, Rejected, TranslationError

FILINGS = "25"
MAPPING = frozenset({"3301", "3302"})
ROWS_MAX = 10_000
PAGE_ROWS = 100


@post("/v1/transactions/{infno:str}", operation_id="transaction", status_code=200)
async def run(request: Caller, infno: FromPath[str]) -> HttpAnswer:
    """One call to the centre; queries are repeated under a new msgid when no answer came, a filing is sent once.  ``all_pages``:
    every page of a paged query in one answer.  A file (9102) is answered as its bytes."""
    desk = desk_of(request)
    client = caller(request, Right.SETTLE)
    tree = tree_of(request)
    described = transaction(infno)
    if described.kind_class != "R" and not infno.startswith(FILINGS) and infno not in MAPPING:
        text = "该交易不能单独发送，请使用结算、就诊或退费接口"
        raise NotSupported(f"{infno} is class {described.kind_class}: not sent by itself", message_zh=text)
    place = desk.place(client, institution_named(tree))
    insured = str(tree.get("insuplc_admdvs") or "")
    ask = relaying(desk.running, place, tree.get("operator") or {}, insured, preferred_wait(request, None))
    given: Any = tree.get("input")
    outcome = await (_whole(ask, infno, given) if tree.get("all_pages") is True else ask(infno, given))
    file = outcome.content.get("file")
    if isinstance(file, bytes):
        return HttpAnswer(file, media_type=FILE_TYPE)
    return json_response(write_json(_answer(infno, outcome)))


async def _whole(ask: Ask, infno: str, given: Content) -> Outcome:
    """The answer to a paged query with the rows of every page.  Raises: TranslationError, Refused TOO_MANY_ROWS."""
    if not is_paged(infno):
        raise TranslationError([Fault("all_pages", "a paged transaction", infno)])
    last: list[Outcome] = []

    async def noted(one: str, asked: Content) -> Outcome:
        last[:] = [await ask(one, asked)]
        return last[0]

    asked = given.get(paged_node(infno)) if isinstance(given, dict) else None
    size = asked.get("page_size") if isinstance(asked, dict) else None
    rows: list[Any] = []
    try:
        async for page in pages(noted, infno, given, int(size or PAGE_ROWS)):
            rows += page.rows
            if len(rows) > ROWS_MAX:
                text = f"超过 {ROWS_MAX} 行，请分页查询或缩小范围"
                raise Refused(f"more than {ROWS_MAX} rows", code="TOO_MANY_ROWS", message_zh=text)
    except Rejected:
        return last[0]
    described = transaction(infno).output
    outcome = last[0]
    reply = {**outcome.content.get("reply", {}), "output": {described[0].name if described else "data": rows}}
    return Outcome(outcome.state, outcome.code, outcome.message_zh, {**outcome.content, "reply": reply})


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
