"""One local message through the whole adapter, answered in its own form whatever happens.  Knows no HTTP."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from adapter_core.bootstrap.assembly import Adapter
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.answers import UNKNOWN_MARK, in_their_form
from adapter_core.settlement.place import Place
from adapter_core.values.errors import AdapterError, LedgerUnavailable, NotSupported, Refused, TranslationError
from adapter_core.values.frames import Frame

REFUSALS = (TranslationError, Refused, NotSupported)
"""Nothing was sent."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """What one message came to.

    outcome: None when it was refused before anything was sent; error: why.  frame: the answer in the family's own form, None
    where that form can't even say the refusal.
    """

    outcome: Outcome | None
    frame: Frame | None
    error: AdapterError | None = None


async def answered(running: Adapter, place: Place, dialect: Dialect, frame: Frame, wait_s: float | None) -> Answered:
    """Raises: whatever is no refusal; `answered_anyhow` tells that too."""
    operation: Operation | None = None
    try:
        operation = dialect.decode_request(frame)
        outcome = await running.pipeline.handle(place, dialect, operation, wait_s)
    except REFUSALS as error:
        refused = Outcome("REFUSED", error.code, refusal_text(error))
        await running.note_refusal(dialect.name, error, place.org)
        return Answered(None, _in_form(dialect, operation, refused), error)
    return Answered(outcome, in_their_form(dialect, operation, outcome))


async def answered_anyhow(
    running: Adapter, place: Place, dialect: Dialect, frame: Frame, wait_s: float | None
) -> Answered:
    """As `answered`; a ledger that is away is told as not sent, and any fault of ours as not known, never as a failure."""
    try:
        return await answered(running, place, dialect, frame, wait_s)
    except LedgerUnavailable as error:
        away = Outcome("NOT_SENT", error.code, "账本不可用，没有送出，没有产生结算，请稍后用同一笔业务重试")
        return Answered(None, _in_form(dialect, _asked(dialect, frame), away), error)
    except Exception as error:
        _log.error("a message of %s failed: %s", dialect.name, type(error).__name__)
        unknown = Outcome("PENDING", "INTERNAL", f"{UNKNOWN_MARK}系统内部错误，请先查询结果，不要重复收费")
        return Answered(unknown, _in_form(dialect, _asked(dialect, frame), unknown))


def refusal_text(error: AdapterError) -> str:
    """What the HIS shows: our line, and the first fault of how many."""
    text = error.message_zh or str(error)
    if isinstance(error, TranslationError) and error.faults:
        first = error.faults[0]
        text += f"（共 {len(error.faults)} 处，第一处 {first.path}{first.title}：应为{first.expected}）"
    return text


def _asked(dialect: Dialect, frame: Frame) -> Operation | None:
    try:
        return dialect.decode_request(frame)
    except AdapterError:
        return None


def _in_form(dialect: Dialect, operation: Operation | None, outcome: Outcome) -> Frame | None:
    try:
        return dialect.encode_reply(operation or Operation("query", "", dialect.name), outcome)
    except AdapterError:
        return None
