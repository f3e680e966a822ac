"""Signers of three gateways: CSB (HMAC-SHA1), x-tif (SHA-256) and x-ca (HMAC-SM3).

Pure functions: the core hands in key, timestamp and nonce, and sends the returned headers as they are.  The timestamp
is text everywhere, so that what is signed and what is sent are the same characters: public clients take the time twice,
and a gateway refuses a header that differs from the signed text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from adapter_core.formats.guomi.sm3 import hmac_sm3
from adapter_core.values.errors import ContractError
from adapter_core.values.secrets import Secret

Headers = tuple[tuple[str, str], ...]

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


def csb_headers(
    access_key: str,
    secret: Secret,
    *,
    api_name: str,
    api_version: str,
    timestamp: str,
    form: Mapping[str, str] | None = None,
) -> Headers:
    """The five ``_api_*`` headers of a CSB request (江苏, 江西, 湖南).

    timestamp: milliseconds, or seconds where the gateway wants them.  form: the fields of a form request, signed with
    the rest; a JSON body is not signed.  Raises: ContractError for a value that can't be a header.
    """
    fields = {
        "_api_name": api_name,
        "_api_version": api_version,
        "_api_timestamp": timestamp,
        "_api_access_key": access_key,
    }
    return _checked((*fields.items(), ("_api_signature", csb_signature(secret, {**(form or {}), **fields}))))


def csb_signature(secret: Secret, fields: Mapping[str, str]) -> str:
    """Base64 of HMAC-SHA1 over ``name=value`` joined by ``&``, sorted by name, nothing URL-encoded."""
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    # SHA-1 here and nowhere else: these gateways prescribe it, and as an HMAC it still holds.
    digest = hmac.new(secret.reveal().encode("utf-8"), text.encode("utf-8"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def tif_headers(paasid: str, token: Secret, *, timestamp: str, nonce: str, upper: bool = False) -> Headers:
    """The four ``x-tif-*`` headers (广东, 河北).  The account and the body are not signed.

    timestamp: unix seconds.  upper: whether the bureau wants the signature in capitals.
    Raises: ContractError for a value that can't be a header.
    """
    signature = tif_signature(token, timestamp=timestamp, nonce=nonce)
    return _checked(
        (
            ("x-tif-paasid", paasid),
            ("x-tif-timestamp", timestamp),
            ("x-tif-nonce", nonce),
            ("x-tif-signature", signature.upper() if upper else signature),
        )
    )


def tif_signature(token: Secret, *, timestamp: str, nonce: str) -> str:
    """SHA-256 over timestamp, token, nonce and timestamp again, as lower-case hex."""
    return hashlib.sha256(f"{timestamp}{token.reveal()}{nonce}{timestamp}".encode()).hexdigest()


def xca_headers(key: str, secret: Secret, body: bytes, *, timestamp: str) -> Headers:
    """The two ``x-ca-*`` headers (浙江).  timestamp: unix seconds.  Raises: ContractError for a value that can't be a header."""
    return _checked(
        (("x-ca-key", key), ("x-ca-signature", f"{timestamp}:{xca_signature(secret, body, timestamp=timestamp)}"))
    )


def xca_signature(secret: Secret, body: bytes, *, timestamp: str) -> str:
    """HMAC-SM3 over the timestamp, a line feed and the very bytes that are sent, as capital hex.  The key isn't signed."""
    # The standard library has SM3 only where its OpenSSL was built with it.
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import hmac as keyed

    mac = keyed.HMAC(secret.reveal().encode("utf-8"), hashes.SM3())
    mac.update(timestamp.encode("ascii") + b"\n" + body)
    return mac.finalize().hex().upper()


def ca_headers(key: str, secret: Secret, *, timestamp: str, body: bytes) -> Headers:
    """The two ``x-ca-*`` headers (浙江).  The key's name is not signed.

    timestamp: unix seconds; body: the UTF-8 bytes as sent.  Raises: ContractError for a value that can't be a header.
    """
    signature = ca_signature(secret, timestamp=timestamp, body=body)
    return _checked((("x-ca-key", key), ("x-ca-signature", f"{timestamp}:{signature}")))


def ca_signature(secret: Secret, *, timestamp: str, body: bytes) -> str:
    """HMAC-SM3 over the timestamp, a line feed and the body, as upper-case hex."""
    return hmac_sm3(secret.reveal().encode(), timestamp.encode() + b"\n" + body).hex().upper()


def _checked(headers: Headers) -> Headers:
    for name, value in headers:
        if not _HEADER_VALUE.fullmatch(value):
            raise ContractError(f"header {name}: printable ASCII without spaces expected")
    return headers
