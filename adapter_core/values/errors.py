"""Exceptions, named by what the caller does next.

AdapterError
├── ConfigError       fix the set-up; refuse to start
├── ContractError     a plugin broke its promise: switch the province off, report a bug
├── TranslationError  wrong data, found before sending; correct it and send anew
├── NotSupported      declared gap of this province; paper route
├── NotSent           never reached the far side; safe to retry
├── OutcomeUnknown    sent, no trusted answer; ask, never resend blind
├── Rejected          the centre said no, with a code its province lists as final
├── Refused           this adapter said no (key reused, visit held …); nothing was sent
└── LedgerUnavailable the ledger can't be written; nothing money-like is sent
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one message.

    path: where, e.g. ``input.data.medfee_sumamt`` or ``part 6, row 2, cell 9``; expected / got: in words, ``got`` cut
    short and never a whole personal value; title: the field's Chinese name, if it has one.
    """

    path: str
    expected: str
    got: str
    title: str = ""

    def __str__(self) -> str:
        name = f"（{self.title}）" if self.title else ""
        return f"{self.path}{name}: expected {self.expected}, got {self.got}"


class AdapterError(Exception):
    """Root of all our exceptions.  ``code`` is stable for machines, ``message_zh`` is what a cashier reads."""

    code = "ADAPTER_ERROR"

    def __init__(self, message: str, *, code: str | None = None, message_zh: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code
        self.message_zh = message_zh


class ConfigError(AdapterError):
    code = "CONFIG"


class ContractError(AdapterError):
    code = "PLUGIN_CONTRACT"


class TranslationError(AdapterError):
    """All faults of one message at once; nothing was sent."""

    code = "BAD_MESSAGE"

    def __init__(self, faults: Iterable[Fault], *, code: str | None = None, message_zh: str = "") -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(map(str, self.faults)), code=code, message_zh=message_zh or "报文有误，未发送，请核对后重试"
        )


class NotSupported(AdapterError):
    code = "NOT_SUPPORTED"


class NotSent(AdapterError):
    code = "NOT_SENT"


class OutcomeUnknown(AdapterError):
    code = "OUTCOME_UNKNOWN"


class Rejected(AdapterError):
    """``infcode`` and ``err_msg`` as the centre gave them."""

    code = "REJECTED"

    def __init__(self, infcode: str, err_msg: str) -> None:
        super().__init__(f"centre refused: {infcode}", message_zh=err_msg)
        self.infcode = infcode
        self.err_msg = err_msg


class Refused(AdapterError):
    """We refuse; nothing was sent.  ``code``: KEY_REUSED, VISIT_HELD, QUOTE_CHANGED, USE_VOID, USE_CANCEL …"""

    code = "REFUSED"


class LedgerUnavailable(AdapterError):
    code = "LEDGER_UNAVAILABLE"


class LedgerDamaged(AdapterError):
    """The journal's chain or the database file doesn't check; exit code 7."""

    code = "LEDGER_DAMAGED"
