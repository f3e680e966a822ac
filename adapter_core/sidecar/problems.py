"""Errors as ``application/problem+json`` (RFC 9457): ``code``, ``title``, ``detail``, ``message_zh``, ``next``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from adapter_core.sidecar.access import Forbidden, TooMany, Unauthenticated
from adapter_core.values.errors import (
    AdapterError,
    ConfigError,
    Fault,
    LedgerDamaged,
    LedgerUnavailable,
    NotSupported,
    Refused,
    TranslationError,
)

MEDIA_TYPE = "application/problem+json"
LEDGER_RETRY_S = 5

STATUS_OF_CODE = {
    "BAD_BODY": 400,
    "KEY_MISSING": 400,
    "NO_SUCH_CASE": 404,
    "NO_SUCH_ENCOUNTER": 404,
    "NO_SUCH_DIALECT": 404,
    "NOT_FOUND": 404,
    "NO_SUCH_PAPER": 404,
    "NO_SUCH_VISIT": 404,
    "NO_SUCH_BATCH": 404,
    "NO_SUCH_LIST": 404,
    "KEY_REUSED": 409,
    "VISIT_HELD": 409,
    "USE_VOID": 409,
    "USE_CANCEL": 409,
    "QUOTE_CHANGED": 409,
    "QUOTE_EXPIRED": 409,
    "NOT_QUOTED": 409,
    "NOT_SETTLED": 409,
    "NOT_FROZEN": 409,
    "FOUR_EYES": 409,
    "BURNT": 409,
    "BILL_CLOSED": 409,
    "PAPER_SUBMITTED": 409,
    "PAPER_CLOSED": 409,
    "PAPER_REVOKED": 409,
    "NO_PAPER": 409,
    "NOT_SUBMITTED": 409,
    "WITHDRAWAL_NEEDED": 409,
    "BATCHED": 409,
    "NOT_HELD": 409,
    "CONFLICT": 409,
    "TASK_MOVED": 409,
    "USER_EXISTS": 409,
    "LAST_ADMIN": 409,
    "NO_SUCH_USER": 404,
    "SYSTEM_CUTOVER": 409,
    "START_ANEW": 409,
    "GATEWAY_GONE": 409,
    "FOLDED": 409,
    "NEWBORN_KNOWN": 409,
    "NEWBORN_UNIDENTIFIED": 409,
    "NEWBORN_IDENTITY_PENDING": 409,
}
"""Statuses by code; any other refusal of a message is 422."""

NEXT_OF_CODE: dict[str, tuple[str, ...]] = {
    "KEY_REUSED": ("new_key",),
    "VISIT_HELD": ("use_named_case",),
    "USE_VOID": ("void",),
    "USE_CANCEL": ("cancel",),
    "QUOTE_CHANGED": ("settle", "cancel"),
    "QUOTE_EXPIRED": ("new_key",),
    "CHOOSE_INSURANCE": ("choose_insurance",),
    "SYSTEM_CUTOVER": ("repeat_same_key", "manual"),
    "START_ANEW": ("new_encounter", "cancel", "void"),
    "GATEWAY_GONE": ("wait",),
    "FOLDED": ("unfold",),
    "PREHOSPITAL_NOT_ELIGIBLE": ("settle_as_outpatient",),
    "PREADMISSION_OFF": ("settle_as_outpatient",),
    "NEWBORN_KNOWN": ("use_named_encounter",),
    "NEWBORN_UNIDENTIFIED": ("identify_newborn", "manual"),
    "NEWBORN_IDENTITY_PENDING": ("identify_newborn",),
}
NEXT_OF_STATUS: dict[int, tuple[str, ...]] = {
    400: ("correct",),
    401: ("check_credential",),
    403: ("check_credential",),
    404: ("check_key",),
    405: ("correct",),
    413: ("correct",),
    422: ("correct",),
    429: ("repeat_same_key",),
    503: ("repeat_same_key",),
}
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class BadBody(TranslationError):
    """The body isn't what this path takes at all, whatever its fields say: HTTP 400."""

    code = "BAD_BODY"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults, code="BAD_BODY", message_zh="报文无法读取，未发送，请检查格式")


def status_of(error: AdapterError) -> int:
    match error:
        case Unauthenticated():
            return 401
        case Forbidden():
            return 403
        case TooMany():
            return 429
        case LedgerUnavailable() | LedgerDamaged():
            return 503
        case TranslationError() | Refused() | NotSupported() | ConfigError():
            return STATUS_OF_CODE.get(error.code, 422)
        case _:
            return STATUS_OF_CODE.get(error.code, 500)


def headers_of(error: AdapterError) -> dict[str, str]:
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="his-adapter", HMAC-SM3'}
        case TooMany():
            return {"Retry-After": str(max(1, round(error.retry_after_s)))}
        case LedgerUnavailable() | LedgerDamaged():
            return {"Retry-After": str(LEDGER_RETRY_S)}
        case _:
            return {}


def problem(
    status: int,
    code: str,
    detail: str,
    message_zh: str,
    next_steps: tuple[str, ...] = (),
    **more: Any,
) -> bytes:
    """One problem's body.  more: extension members, e.g. ``faults``."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "message_zh": message_zh,
        "next": next_steps or NEXT_OF_CODE.get(code) or NEXT_OF_STATUS.get(status, ()),
        **more,
    }
    return _encode(body)


def problem_of(error: AdapterError) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of a refusal; every fault of a message is listed with its path."""
    status = status_of(error)
    if status == 500:
        _log.error("%s: %s", type(error).__name__, error.code)
        return status, {}, internal_problem()
    message_zh = error.message_zh or "请求未受理，未发送"
    if isinstance(error, TranslationError):
        faults = [
            {"path": one.path, "title": one.title, "expected": one.expected, "got": one.got} for one in error.faults
        ]
        detail = f"{len(faults)} fault(s)"
        return status, headers_of(error), problem(status, error.code, detail, message_zh, faults=faults)
    return status, headers_of(error), problem(status, error.code, str(error), message_zh)


def internal_problem() -> bytes:
    """Says nothing of what went wrong inside: that is in the log, without any content."""
    return problem(
        500, "INTERNAL", "an internal error; see the log", "系统内部错误，请先查询结果，不要重复收费", ("poll",)
    )
