"""Asking the centre: one transaction through whatever way there is (this process's pipeline, or the service that holds the ledger)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.province.messages import Outcome
from adapter_core.standard.transactions import PAGE_FIELDS, transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, NotSent, OutcomeUnknown, Rejected, TranslationError

Ask = Callable[[str, Content], Awaitable[Outcome]]
"""``(infno, input)`` → what came back, its reads already repeated where no answer came.  DONE: the centre's answer lies in
``content["reply"]["output"]``, or in ``content["file"]`` for a file's bytes."""

PAGE, SIZE = "page_num", "page_size"
PAGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows.  number: counted from 1; is_last: nothing follows."""

    number: int
    rows: list[Mapping[str, Any]]
    is_last: bool


async def answered(ask: Ask, infno: str, given: Content) -> Outcome:
    """A DONE outcome.  Raises: Rejected, NotSent, OutcomeUnknown, and what the way itself refuses."""
    outcome = await ask(infno, given)
    if outcome.state == "DONE":
        return outcome
    if outcome.state == "REJECTED":
        refusal = outcome.content.get("reply", {})
        raise Rejected(str(refusal.get("infcode", "")), str(refusal.get("err_msg") or outcome.message_zh))
    if outcome.state == "NOT_SENT":
        raise NotSent(f"{infno} did not reach the centre: {outcome.code}", message_zh=outcome.message_zh)
    raise OutcomeUnknown(f"{infno}: no trusted answer: {outcome.code}", message_zh=outcome.message_zh)


def output_of(outcome: Outcome) -> Mapping[str, Any]:
    """The output of an answer; empty where the centre sent none."""
    reply = outcome.content.get("reply", {})
    output = reply.get("output") if isinstance(reply, Mapping) else None
    return output if isinstance(output, Mapping) else {}


def rows_of(infno: str, output: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of an answer: its first output node, one record or a list of them.

    Raises: TranslationError for anything else.
    """
    described = transaction(infno).output
    name = described[0].name if described else next(iter(output), "")
    found = output.get(name)
    rows = found if isinstance(found, list) else [] if found in (None, "") else [found]
    if not all(isinstance(row, Mapping) for row in rows):
        raise TranslationError([Fault(f"output.{name}", "一行或多行记录", type(found).__name__)], code="BAD_REPLY")
    return [row for row in rows if row]


def is_paged(infno: str) -> bool:
    """Whether a transaction answers page by page (``page_num`` and ``page_size`` in its input)."""
    return PAGE in PAGE_FIELDS and any(row.code == PAGE for node in transaction(infno).input for row in node.fields)


def paged_node(infno: str) -> str:
    """The input node that says which page."""
    return next(node.name for node in transaction(infno).input if any(row.code == PAGE for row in node.fields))


async def pages(ask: Ask, infno: str, given: Content, size: int, first: int = 1) -> AsyncIterator[Page]:
    """Page after page, until one is empty or shorter than the first one of this reading.

    A centre may give fewer rows than asked, so a first page that is short is no end yet; the refusal of the page after it is.
    first: where an interrupted reading goes on.  Raises: as `answered`; Rejected for any other page.
    """
    node = paged_node(infno)
    full = 0
    before: list[Mapping[str, Any]] = []
    for number in range(first, PAGES_MAX + 1):
        record = {**given.get(node, {}), PAGE: number, SIZE: size}
        try:
            rows = rows_of(infno, output_of(await answered(ask, infno, {**given, node: record})))
        except Rejected:
            if number > first and len(before) < size:
                return
            raise
        if rows and rows == before:
            raise TranslationError(
                [Fault(f"page {number}", "另一页", "与上一页相同")],
                code="BAD_REPLY",
                message_zh="医保中心重复返回同一页，已停止",
            )
        full = full or len(rows)
        is_last = not rows or len(rows) < full
        yield Page(number, rows, is_last)
        if is_last:
            return
        before = rows
