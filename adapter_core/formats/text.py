"""Text encodings: strict UTF-8 and the GBK family, both ways, nothing ever replaced.

Hospital systems write GBK, GB2312 and CP936 for the same thing and send characters of all three; reading them as
GB18030, their superset, loses nothing.  Writing is narrower: what declared GBK will be read by a GBK program, so a
character outside GBK is refused by name instead of being guessed at on the other side.
"""

from __future__ import annotations

import re

from adapter_core.values.errors import ContractError, Fault, TranslationError

UTF_8_MARK = b"\xef\xbb\xbf"
FAULTS_MAX = 10

_READS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "cp936": "gb18030",
    "gb18030": "gb18030",
}
_WRITES = {**_READS, "gbk": "gbk", "gb2312": "gbk", "cp936": "gbk"}
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_USUAL_BYTES = b"\t\n\r" + bytes([*range(0x20, 0x7F), *range(0x80, 0x100)])
_USUAL = {
    "utf-8": _USUAL_BYTES.replace(b"\xc2", b""),
    "gb18030": _USUAL_BYTES.replace(b"\x81", b""),
    "gbk": _USUAL_BYTES.replace(b"\x81", b""),
}
"""Bytes that are part of no control character: those above U+007F begin with C2 in UTF-8, with 81 in GB18030."""


def decode_text(raw: bytes, charset: str = "auto") -> tuple[str, str]:
    """The text of ``raw`` and the charset it was in: ``utf-8`` or ``gb18030``.

    charset: ``auto`` (UTF-8 if it fits, else GB18030), ``utf-8``, or any name of the GBK family.  A UTF-8 byte-order
    mark is dropped.  Raises: TranslationError for bytes that don't fit, for control characters other than CR, LF and
    TAB, and for a mark before bytes declared GBK; ContractError for a charset we don't know.
    """
    marked = raw.startswith(UTF_8_MARK)
    name = charset.lower()
    if name == "auto":
        name = "utf-8" if marked or _is_utf_8(raw) else "gb18030"
    codec = _known(name, _READS)
    if marked and codec != "utf-8":
        raise TranslationError([Fault("text", f"{charset} as declared", "a UTF-8 byte-order mark")])
    body = raw[len(UTF_8_MARK) :] if marked else raw
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        fault = Fault(f"text, byte {error.start}", f"{codec} text", f"bytes that are no {codec} ({error.reason})")
        raise TranslationError([fault]) from None
    if body.translate(None, _USUAL[codec]):
        _refuse_controls(text)
    return text, codec


def encode_text(text: str, charset: str) -> bytes:
    """``text`` as bytes: UTF-8 without a mark, GB18030 where that is declared, else GBK for the whole GBK family.

    Raises: TranslationError naming each character that the charset can't say and each control character;
    ContractError for a charset we don't know.
    """
    codec = _known(charset.lower(), _WRITES)
    try:
        raw = text.encode(codec)
    except UnicodeEncodeError:
        _refuse_controls(text)
        raise TranslationError(_unsayable(text, codec)) from None
    if raw.translate(None, _USUAL[codec]):
        _refuse_controls(text)
    return raw


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _known(name: str, codecs: dict[str, str]) -> str:
    if name not in codecs:
        raise ContractError(f"unknown charset {name[:20]!r}: one of {', '.join(codecs)}")
    return codecs[name]


def _refuse_controls(text: str) -> None:
    found = _CONTROLS.search(text)
    if found:
        place = f"text, character {found.start() + 1}"
        raise TranslationError([Fault(place, "no control character", f"U+{ord(found.group()):04X}")])


def _unsayable(text: str, codec: str) -> list[Fault]:
    """One fault for each different character that ``codec`` lacks.  The character itself is named: the cashier has to
    find it on the screen, and one character tells nobody who the patient is."""
    faults = []
    for character in dict.fromkeys(text):
        try:
            character.encode(codec)
        except UnicodeEncodeError:
            shown = "" if "\ud800" <= character <= "\udfff" else f" {character}"
            place = f"text, character {text.index(character) + 1}"
            faults.append(Fault(place, f"a character of {codec}", f"U+{ord(character):04X}{shown}"))
        if len(faults) == FAULTS_MAX:
            break
    return faults
