"""Answers about a case as HTTP: the body of `contracts.md` §4, its status, where to poll."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.answers import paper_facts, standing_outcome
from adapter_core.settlement.records import Case
from adapter_core.sidecar.desk import Desk, json_response
from adapter_core.sidecar.problems import MEDIA_TYPE, NEXT_OF_CODE, problem
from adapter_core.sidecar.responses import HttpAnswer
from adapter_core.values.copies import replace
from adapter_core.values.money import from_fen

WAITING = frozenset({"PENDING", "VOIDING", "FROZEN"})
"""Told with 202: not decided yet, poll."""
RETRY_AFTER_S = 2
FEN_OF = {
    "medfee_sumamt": "total_fen",
    "fund_pay_sumamt": "fund_fen",
    "acct_pay": "account_fen",
    "psn_cash_pay": "cash_fen",
}
encode = msgspec.json.Encoder(decimal_format="number").encode


async def told(desk: Desk, asked: Operation, outcome: Outcome, case: Case | None = None) -> HttpAnswer:
    """What a request about a case is answered.  case: where the caller has it at hand."""
    answer = await answer_of(desk, asked, outcome, case)
    if outcome.code == "QUOTE_CHANGED":
        return _quote_changed(answer, outcome)
    if answer["state"] in WAITING:
        answer["queue_position"] = desk.running.pipeline.ahead_of(answer["case_id"])
    return respond(answer)


def respond(answer: dict[str, Any]) -> HttpAnswer:
    if answer["state"] not in WAITING:
        return json_response(encode(answer))
    headers = {"Location": location(answer), "Retry-After": str(RETRY_AFTER_S)}
    return json_response(encode(answer), 202, headers)


def location(answer: dict[str, Any]) -> str:
    """Where the answer's case is polled: a void under its own key; a key with a slash in it under the case's id."""
    key = answer.get("void_key") or answer["settle_key"]
    return f"/v1/settlements/{quote(answer['case_id'] if '/' in key or not key else key, safe='')}"


async def answer_of(desk: Desk, asked: Operation, outcome: Outcome, case: Case | None = None) -> dict[str, Any]:
    """The answer's body.  Keys that the request left out are the case's own; amounts stay on it after a refund."""
    about = outcome.content.get("case", {})
    says_all = "result" in outcome.content and {"visit", "encounter"} <= asked.keys.keys()
    if case is None and about.get("case_id") and not says_all:
        case = await desk.running.ledger.case(about["case_id"])
    if case is not None:
        asked = replace(asked, keys=await _keys(desk, asked, case))
    answer = desk.dialect.answer(asked, outcome)
    answer["paper"] = (paper_facts(case) if case is not None else about.get("paper")) or None
    if case is not None and "result" not in outcome.content:
        _fill_from_case(answer, case)
    return answer


async def _keys(desk: Desk, asked: Operation, case: Case) -> dict[str, str]:
    ledger = desk.running.ledger
    encounter = await ledger.encounter(case.encounter_id)
    assert encounter is not None
    keys = {"visit": case.visit_key, "encounter": encounter.encounter_key}
    if case.purpose == "settle":
        return {**keys, "settle": case.key}
    target = await ledger.case(case.target_case_id)
    assert target is not None
    return {**keys, "void": case.key, "settle": target.key}


def _fill_from_case(answer: dict[str, Any], case: Case) -> None:
    """A case whose answer says no amounts any more still says what was settled."""
    answer["setl_id"] = answer["setl_id"] or case.setl_id
    amounts = {name: getattr(case, field) for name, field in FEN_OF.items()}
    answer["amounts"] = {name: f"{from_fen(fen):.2f}" for name, fen in amounts.items() if fen is not None}


async def told_case(desk: Desk, case: Case) -> HttpAnswer:
    """What a case is told as it stands, from the ledger alone."""
    return await told(desk, Operation("query", "query", desk.dialect.name, case.kind), standing_outcome(case), case)


def _quote_changed(answer: dict[str, Any], outcome: Outcome) -> HttpAnswer:
    facts = {name: value for name, value in answer.items() if name not in ("code", "message_zh", "next")}
    before = outcome.content.get("quoted_before", {})
    facts["quoted_before"] = {name: f"{from_fen(before[fen]):.2f}" for name, fen in FEN_OF.items() if fen in before}
    steps = NEXT_OF_CODE["QUOTE_CHANGED"]
    detail = "the centre splits the amounts otherwise than quoted; nothing was settled"
    body = problem(409, outcome.code, detail, outcome.message_zh, steps, **facts)
    return HttpAnswer(body, status_code=409, media_type=MEDIA_TYPE)
