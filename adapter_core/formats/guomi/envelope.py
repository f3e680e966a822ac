"""The SM2/SM4 envelope of 移动支付中心, 电子处方 (D001–D008) and portals: ``encData`` sealed with SM4, ``signData`` signed with SM2.

Published examples of the family were reproduced with exactly this: SM4 in ECB mode, hexadecimal in capitals, the signed text
sorted with empty values dropped and numbers as text.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapter_core.formats.guomi import sm4
from adapter_core.formats.guomi.sm2 import USER_ID, PrivateKey, PublicKey
from adapter_core.formats.json import read_json, write_json
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.secrets import Secret

UNSIGNED = frozenset({"signData", "encData", "extra"})


@dataclass(frozen=True, slots=True)
class Parties:
    """The keys of an application at its centre.

    user_id: of both signatures.  signs_sealed: the signed ``data`` is the text of encData (one 电子处方 variant), not the plain
    object.
    """

    app_id: str
    app_secret: Secret
    own: PrivateKey
    centre: PublicKey
    user_id: bytes = USER_ID
    signs_sealed: bool = False


def seal(fields: Mapping[str, Any], data: Mapping[str, Any], parties: Parties) -> dict[str, Any]:
    """The envelope to send: fields (appId, encType, signType, timestamp, version …) with encData and signData."""
    enc_data = sm4.encrypt(sm4_key(parties.app_id, parties.app_secret), write_json(dict(data))).hex().upper()
    text = text_to_sign(fields, enc_data if parties.signs_sealed else data, parties.app_secret)
    signature = parties.own.sign(text.encode(), parties.user_id)
    return {**fields, "encData": enc_data, "signData": base64.b64encode(signature).decode()}


def unseal(envelope: Mapping[str, Any], parties: Parties) -> Any:
    """The plain data of an envelope received.  Raises: TranslationError when it doesn't unseal, or isn't signed by the centre."""
    enc_data = envelope.get("encData")
    sign_data = envelope.get("signData")
    if not isinstance(enc_data, str) or not isinstance(sign_data, str):
        raise _bad("encData and signData", "text", "something else, or nothing")
    try:
        sealed, signature = bytes.fromhex(enc_data), base64.b64decode(sign_data, validate=True)
    except (ValueError, binascii.Error):
        raise _bad("encData and signData", "hexadecimal and Base64", "another text") from None
    data = read_json(sm4.decrypt(sm4_key(parties.app_id, parties.app_secret), sealed))
    fields = {name: value for name, value in envelope.items() if name != "data"}
    text = text_to_sign(fields, enc_data if parties.signs_sealed else data, parties.app_secret)
    if not parties.centre.verify(text.encode(), signature, parties.user_id):
        raise _bad("signData", "the centre's signature", "another one")
    return data


def sm4_key(app_id: str, app_secret: Secret) -> bytes:
    """The 16 bytes both sides derive: the head of the secret, sealed under the head of the id, in hexadecimal.

    Raises: TranslationError for an app_id of fewer than 16 bytes.
    """
    head = app_id.encode()[:16]
    if len(head) < 16:
        raise _bad("appId", "at least 16 characters", f"{len(head)}")
    return sm4.encrypt(head, app_secret.reveal().encode()).hex().upper()[:16].encode()


def text_to_sign(fields: Mapping[str, Any], data: Any, app_secret: Secret) -> str:
    """``k=v`` sorted and joined by ``&``, with the plain ``data`` among them as normalised JSON and the secret last."""
    signed = {name: value for name, value in fields.items() if name not in UNSIGNED}
    signed["data"] = data
    pairs = [f"{name}={_as_text(signed[name])}" for name in sorted(signed) if not _is_empty(signed[name])]
    return "&".join([*pairs, f"key={app_secret.reveal()}"])


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return write_json(_normalised(value)).decode()
    return _scalar(value)


def _normalised(value: Any) -> Any:
    """Keys sorted, empty values dropped, numbers and booleans as text; in arrays too."""
    if isinstance(value, Mapping):
        return {name: _normalised(value[name]) for name in sorted(value) if not _is_empty(value[name])}
    if isinstance(value, list):
        return [_normalised(item) for item in value]
    return _scalar(value)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)])
