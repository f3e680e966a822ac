"""The signatures old HISes make already, here with accounts and keys that we issued: CSB, x-tif and x-ca.

They prove who calls and when, to 300 s, and x-ca the body too.  None has a nonce that we could hold them to: a repeat is met by
the case's own key, as a retry is.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from adapter_core.formats.signing import ca_signature, csb_signature, tif_signature
from adapter_core.sidecar.access.refusals import Unauthenticated
from adapter_core.sidecar.access.signatures import refuse_old
from adapter_core.values.secrets import Secret

Only = Callable[[bytes], str | None]
"""The one value of a header, None where it is absent."""


class Family(NamedTuple):
    kind: str
    account_header: bytes
    check: Callable[[Only, bytes, Secret, datetime], None]
    """(headers, body, secret, now).  Raises: Unauthenticated."""


def check_csb(only: Only, body: bytes, secret: Secret, now: datetime) -> None:
    """Milliseconds, or seconds as one client sends them.  The body isn't signed."""
    names = ("_api_name", "_api_version", "_api_timestamp", "_api_access_key")
    fields = {name: only(name.encode()) or "" for name in names}
    _compare(csb_signature(secret, fields), only(b"_api_signature"))
    timestamp = fields["_api_timestamp"]
    refuse_old(timestamp, 1000 if len(timestamp) > 10 else 1, now)


def check_tif(only: Only, body: bytes, secret: Secret, now: datetime) -> None:
    """Hex of either case: bureaus differ.  The body isn't signed."""
    timestamp = only(b"x-tif-timestamp") or ""
    expected = tif_signature(secret, timestamp=timestamp, nonce=only(b"x-tif-nonce") or "")
    _compare(expected, (only(b"x-tif-signature") or "").lower())
    refuse_old(timestamp, 1, now)


def check_ca(only: Only, body: bytes, secret: Secret, now: datetime) -> None:
    """``ts:HEX`` over the time and the bytes of the body (浙江)."""
    timestamp, _, signature = (only(b"x-ca-signature") or "").partition(":")
    _compare(ca_signature(secret, timestamp=timestamp, body=body), signature.upper())
    refuse_old(timestamp, 1, now)


def _compare(expected: str, given: str | None) -> None:
    if not hmac.compare_digest(expected.encode(), (given or "").encode("latin-1")):
        raise Unauthenticated("the signature is wrong", code="SIGNATURE_WRONG")


FAMILIES = (
    Family("csb", b"_api_access_key", check_csb),
    Family("x-tif", b"x-tif-paasid", check_tif),
    Family("x-ca", b"x-ca-key", check_ca),
)
