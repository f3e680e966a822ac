"""HMAC-SM3 over a call: method, path and query, body, time and nonce.

    Authorization: HMAC-SM3 key_id="his-2026", timestamp="1700000000", nonce="3f9a…", signature="<64 hex digits>"

Signed is the UTF-8 text of five lines joined by LF, none behind the last: METHOD, the path as sent with ``?query`` where there
is one, the SM3 of the body in lower-case hex (of no bytes where there is none), the timestamp (unix seconds), the nonce (16 to
64 of ``A-Z a-z 0-9 _ -``).
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import NamedTuple

from adapter_core.formats.guomi.sm3 import hmac_sm3, sm3
from adapter_core.sidecar.access.refusals import Unauthenticated
from adapter_core.values.secrets import Secret

SCHEME = "HMAC-SM3"
TOLERANCE_S = 300

_PARTS = re.compile(r'\s*(key_id|timestamp|nonce|signature)="([A-Za-z0-9_.\-]{1,80})"\s*(?:,|$)')
_NONCE = re.compile(r"[A-Za-z0-9_\-]{16,64}")
_NOBODY = Secret("a key that nobody has, so that an unknown key takes as long as a known one")


class Request(NamedTuple):
    """One call as it was sent."""

    method: str
    path: str
    query: str
    body: bytes


class Signed(NamedTuple):
    """What the Authorization header says."""

    key_id: str
    timestamp: str
    nonce: str
    signature: str


def read_credential(credential: str) -> Signed:
    """Raises: Unauthenticated unless each part stands there once, in its form."""
    parts: dict[str, str] = {}
    end = 0
    while end < len(credential):
        found = _PARTS.match(credential, end)
        if found is None or found[1] in parts:
            raise Unauthenticated("the HMAC-SM3 credential isn't well-formed")
        parts[found[1]] = found[2]
        end = found.end()
    if len(parts) != 4 or not _NONCE.fullmatch(parts["nonce"]) or not parts["timestamp"].isascii():
        raise Unauthenticated("the HMAC-SM3 credential isn't well-formed")
    return Signed(**parts)


def signature_of(request: Request, timestamp: str, nonce: str, secret: Secret) -> str:
    """The signature a caller must send, 64 lower-case hex digits."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    text = "\n".join((request.method.upper(), target, sm3(request.body).hex(), timestamp, nonce))
    return hmac_sm3(secret.reveal().encode(), text.encode()).hex()


def check(request: Request, signed: Signed, secret: Secret | None, now: datetime) -> None:
    """Raises: Unauthenticated for a wrong signature, an unknown key (``secret`` None), or a time off by more than 300 s."""
    expected = signature_of(request, signed.timestamp, signed.nonce, secret or _NOBODY)
    if not hmac.compare_digest(expected, signed.signature.lower()) or secret is None:
        raise Unauthenticated("the signature is wrong", code="SIGNATURE_WRONG")
    refuse_old(signed.timestamp, 1, now)


def refuse_old(timestamp: str, per_second: int, now: datetime) -> None:
    """Raises: Unauthenticated for a unix time (``per_second`` ticks to the second) that is further than 300 s from ``now``."""
    if (
        not timestamp.isdecimal()
        or len(timestamp) > 16
        or abs(int(timestamp) / per_second - now.timestamp()) > TOLERANCE_S
    ):
        raise Unauthenticated("the timestamp is further than 300 s from our clock", code="TIMESTAMP_OUTSIDE")
