"""Files from outside that may be a zip of texts: catalogues, reconciliation results.  Nothing in them is believed.

What a file's own directory says of sizes is checked against what is really read; a cut file is refused, never read as far as it goes.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, cast

from adapter_core.values.errors import Fault, TranslationError

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_CHARSETS = {"utf-8": "utf-8-sig", "gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030", "gb18030": "gb18030"}


@dataclass(frozen=True, slots=True)
class Limits:
    """entries: texts in one file; ratio: bytes read for each byte that came; total_bytes: bytes read altogether."""

    entries: int = 64
    ratio: int = 100
    total_bytes: int = 1024 * 1024 * 1024
    line_characters: int = 1024 * 1024


LIMITS = Limits()
"""`reliability.md` §11, Files."""


def is_zip(raw: bytes) -> bool:
    return raw.startswith(ZIP_STARTS)


@contextmanager
def opened_texts(source: bytes | Path, name: str, limits: Limits = LIMITS) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The texts of a file, one after the other, each with its name: the entries of a zip, or the file itself.

    name: what faults call the file.  Raises, here and while a text is read: TranslationError for more than the limits allow, a path
    in an entry's name, two of one name, encryption, an unusual compression, an archive within, or a file that was cut.
    """
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if not is_zip(start):
            yield iter([(name, cast("IO[bytes]", _Counted(file, name, _Budget(limits.total_bytes, name))))])
            return
        try:
            with zipfile.ZipFile(file) as archive:
                size = file.seek(0, 2)
                yield _entries(archive, name, size, limits)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
            raise _bad(name, "完整的 zip 文件", type(error).__name__) from None


def _entries(archive: zipfile.ZipFile, name: str, size: int, limits: Limits) -> Iterator[tuple[str, IO[bytes]]]:
    entries = archive.infolist()
    _refuse_directory(entries, name, limits)
    budget = _Budget(min(limits.total_bytes, limits.ratio * size), name)
    for entry in entries:
        with archive.open(entry) as opened:
            counted = _Counted(cast("BufferedIOBase", opened), f"{name}/{entry.filename}", budget)
            if is_zip(counted.peek_start()):
                raise _bad(f"{name}/{entry.filename}", "文本", "又一个压缩包")
            yield entry.filename, cast("IO[bytes]", counted)


def _refuse_directory(entries: list[zipfile.ZipInfo], name: str, limits: Limits) -> None:
    """Everything that the archive's directory alone shows to be wrong."""
    if not 0 < len(entries) <= limits.entries:
        raise _bad(name, f"1 至 {limits.entries} 个文件", f"{len(entries)} 个")
    faults = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        place = f"{name}, entry {number}"
        if not _is_plain(entry.filename):
            faults.append(Fault(place, "不带路径的文件名", entry.filename[:60]))
        if entry.filename in seen:
            faults.append(Fault(place, "不重复的文件名", entry.filename[:60]))
        if entry.flag_bits & _ENCRYPTED:
            faults.append(Fault(place, "未加密的文件", "加密"))
        if entry.compress_type not in _METHODS:
            faults.append(Fault(place, "stored 或 deflate", f"method {entry.compress_type}"))
        if entry.file_size > limits.ratio * max(entry.compress_size, 1):
            faults.append(Fault(place, f"压缩比至多 {limits.ratio}", f"{entry.file_size}/{entry.compress_size}"))
        seen.add(entry.filename)
    if sum(entry.file_size for entry in entries) > limits.total_bytes:
        faults.append(Fault(name, f"至多 {limits.total_bytes} 字节", "更多"))
    if faults:
        raise TranslationError(faults, code="BAD_FILE", message_zh="文件不安全或不完整，未采用")


def _is_plain(filename: str) -> bool:
    return bool(filename) and filename not in (".", "..") and not any(mark in filename for mark in "/\\:\0")


class _Budget:
    """Bytes that may still be read."""

    def __init__(self, left: int, name: str) -> None:
        self._left = left
        self._name = name

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise _bad(self._name, "大小与压缩比在限度之内", "超出限度")


class _Counted(BufferedIOBase):
    """A stream whose bytes are counted as they come, whatever the directory said."""

    def __init__(self, inner: BufferedIOBase | IO[bytes], name: str, budget: _Budget) -> None:
        self._inner = inner
        self._budget = budget
        self._start = b""
        self.name = name

    def peek_start(self) -> bytes:
        self._start = self._inner.read(4)
        self._budget.spend(len(self._start))
        return self._start

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._start:
            start, self._start = self._start, b""
            return start if size is not None and size >= 0 else start + self.read()
        parts: list[bytes] = []
        while True:
            part = self._inner.read(1 << 16 if size is None or size < 0 else size)
            self._budget.spend(len(part))
            if size is not None and size >= 0:
                return part
            if not part:
                return b"".join(parts)
            parts.append(part)

    read1 = read


def text_lines(stream: IO[bytes], charset: str, limits: Limits = LIMITS) -> Iterator[str]:
    """The lines of a text without their ends, strictly in its charset; only LF, or CR LF, ends one.

    charset: ``utf-8`` or one of the GBK family (read as GB18030).  Raises: TranslationError.
    """
    name = str(getattr(stream, "name", "text"))
    codec = _CHARSETS.get(charset.lower())
    if codec is None:
        raise _bad(name, " | ".join(_CHARSETS), charset[:20])
    reader = TextIOWrapper(stream, encoding=codec, errors="strict", newline="\n")
    number = 0
    try:
        while line := reader.readline(limits.line_characters):
            number += 1
            if not line.endswith("\n") and len(line) >= limits.line_characters:
                raise _bad(f"{name}, line {number}", f"至多 {limits.line_characters} 字", "更长")
            yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise _bad(f"{name}, line {number + 1} 之后", f"{charset} 文本", error.reason) from None
    finally:
        reader.detach()


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)], code="BAD_FILE", message_zh="文件不安全或不完整，未采用")
