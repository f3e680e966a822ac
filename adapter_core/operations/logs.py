"""Structured logs: one JSON object per line, by an allow-list of fields, everything personal kept out (`reliability.md` §11).

Our own lines come through `event_log`; what libraries and our modules say through the standard `logging` comes through
`take_over_logging`, in the same form.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any, BinaryIO

import msgspec
import structlog

from adapter_core.operations.masking import DIGITS, TEXT_MAX, foreign, masked, printable
from adapter_core.values.moments import Clock, iso

IDS = frozenset({"org", "case_id", "encounter_id", "msgid", "patient", "trace_id", "instance", "logger"})
"""Fields of ours, or of a form of ours: shown as they are.  ``patient``: HMAC of psn_no, the same for the same person."""
FIELDS = IDS | frozenset(
    [
        "province", "environment", "endpoint", "client", "dialect", "verb", "purpose", "kind", "insuplc_admdvs",
        "step", "infno", "class", "result", "code", "reason", "evidence", "state", "was", "told", "attempt", "warnings", "faults",
        "elapsed_ms", "commit_ms", "http_status", "bytes_in", "bytes_out", "late",
        "group", "lasted_s", "skew_s", "alarm", "severity", "channel", "text", "count", "age_s", "signal",
        "message", "error", "where", "method", "route", "status", "version", "port",
    ]
)  # fmt: skip
"""What a line may hold.  A field that isn't here is left out, and its name listed under ``withheld``."""
_OURS = "adapter_core"

Log = Callable[..., None]
"""``log(event, level="info", **fields)``."""


def event_log(stream: BinaryIO, clock: Clock, **constant: str) -> Log:
    """A log that writes lines to ``stream``; ``constant`` fields stand in every line."""
    logger: Any = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[_line(clock)],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    ).bind(**constant)

    def log(event: str, level: str = "info", **fields: Any) -> None:
        try:
            logger.msg(event, level=level, **fields)
        except (OSError, ValueError):  # whoever read along has gone; the cases go on
            return

    return log


def no_log(event: str, level: str = "info", **fields: Any) -> None:
    """For who keeps none."""


def _line(clock: Clock) -> structlog.typing.Processor:
    """From an entry to its line: the allow-list and the moment, as JSON."""
    encode = msgspec.json.Encoder().encode

    def line(_: object, __: str, entry: MutableMapping[str, Any]) -> bytes:
        return encode(allowed(entry, iso(clock.wall())))

    return line


def allowed(entry: MutableMapping[str, Any], time: str) -> dict[str, Any]:
    """What of an entry may be told: only known fields, only plain values, texts masked.  time: of the line."""
    kept: dict[str, Any] = {"time": time, "level": entry.pop("level", "info"), "event": entry.pop("event", "")}
    withheld = []
    for name, value in entry.items():
        kind = type(value)
        if name not in FIELDS:
            withheld.append(name)
        elif kind is str and value.isprintable() and len(value) <= (TEXT_MAX if name in IDS else DIGITS):
            if value:  # a short word, or an id of ours, has nothing to mask
                kept[name] = value
        elif kind is int:
            kept[name] = value
        elif kind is float:
            kept[name] = round(value, 3)
        elif value is not None and value != "":
            kept[name] = _shown(name, value)
    if withheld:
        kept["withheld"] = sorted(withheld)
    return kept


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, (list, tuple)):
        return [_shown(name, one) for one in value[:20]]
    return printable(str(value)) if name in IDS else masked(str(value))


def take_over_logging(log: Log, level: int = logging.INFO) -> logging.Handler:
    """From now on everything said through `logging` becomes lines of ours.  Returns the handler, for who gives it back.

    Libraries speak from WARNING on, and of an exception only its type and places are told: its text may quote a message.
    """
    handler = _Lines(log)
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # an address names the HIS's own keys
    return handler


class _Lines(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.partition(".")[0] == _OURS or record.name.startswith("his_adapter_")
        try:
            text = record.getMessage()
        except Exception:  # a library's own mistake must not stop the one who logs
            text = "a log message with the wrong arguments"
        fields: dict[str, Any] = {"logger": record.name, "message": masked(text) if ours else foreign(text)}
        if record.exc_info and record.exc_info[1] is not None:
            fields |= told_error(record.exc_info[1])
        self._log("log", record.levelname.lower(), **fields)


def told_error(error: BaseException) -> dict[str, Any]:
    """What of an exception may be told: its type, and where it came from, innermost last."""
    places = traceback.extract_tb(error.__traceback__)[-8:]
    return {
        "error": type(error).__name__,
        "where": [f"{place.filename.rsplit('/', 1)[-1]}:{place.lineno} {place.name}" for place in places],
    }
