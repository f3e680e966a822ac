"""Catalogue files as they come from outside: read by their layout, and refused when anything about them is wrong."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest

from adapter_core.catalogues.layouts import Layout, read_layouts
from adapter_core.formats.archives import Limits, opened_texts
from adapter_core.values.errors import ConfigError, TranslationError

ROWS = "".join(f"X{number:04}\t测试目录项{number}\t规格{number * 7919 % 1000}\n" for number in range(1, 60))


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, raw in entries:
            archive.writestr(name, raw)
    return out.getvalue()


def read(raw: bytes, layout: Layout | None = None) -> list[dict[str, str]]:
    return list((layout or Layout()).rows(raw, "1301"))


def test_a_zip_and_the_text_itself_read_the_same() -> None:
    rows = read(zipped(("1301.txt", ROWS.encode())))
    assert rows == read(ROWS.encode())
    assert rows[0] == {"column_1": "X0001", "column_2": "测试目录项1", "column_3": "规格919"}
    assert len(rows) == 59


def test_a_layout_names_columns_separator_charset_and_heading() -> None:
    layout = read_layouts(
        '[1305]\nseparator="|"\ncharset="gb18030"\nheading=true\ncolumns=["a","b"]\nkey=["b"]', "l.toml"
    )["1305"]
    [row] = read("甲|乙\r\n检查|1\r\n".encode("gb18030"), layout)
    assert row == {"a": "检查", "b": "1"}
    assert layout.key_of(row) == "1"


def test_a_wrong_layout_names_every_fault() -> None:
    with pytest.raises(ConfigError) as refused:
        read_layouts('[1301]\nseparater="|"\ncharset="utf-16"\n[9999]\n[1302]\ncolumns=["a","a"]\nkey=["c"]', "l.toml")
    for wanted in ("separater", "9999: no such transaction", "columns: each name once", "no column c"):
        assert wanted in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (zipped(("../x.txt", b"a")), "不带路径的文件名"),
        (zipped(("a/b.txt", b"a")), "不带路径的文件名"),
        (zipped(*((f"{number}.txt", b"a") for number in range(65))), "65 个"),
        (zipped(("x.txt", b"0" * 5_000_000)), "压缩比"),
        (zipped(("x.txt", zipped(("y.txt", b"a")))), "又一个压缩包"),
        (zipped(("x.txt", ROWS.encode()))[:-30], "完整的 zip 文件"),
        (zipped(("x.txt", ROWS.encode()), method=zipfile.ZIP_LZMA), "stored 或 deflate"),
        (ROWS.encode()[:-30], "列"),
        (b"\xff\xfe\x00", "utf-8 文本"),
        (zipped(), "0 个"),
    ],
    ids=["climb", "folder", "many", "bomb", "nested", "cut", "method", "cut-text", "charset", "empty"],
)  # fmt: skip
def test_a_hostile_or_cut_file_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(TranslationError) as refused:
        read(raw)
    assert why in str(refused.value)


def test_what_a_directory_lies_about_is_found_while_reading() -> None:
    honest = zipped(("x.txt", b"ab\n" * 2_000_000))
    size = (6_000_000).to_bytes(4, "little")
    lying = honest.replace(size, (600).to_bytes(4, "little"))
    with pytest.raises(TranslationError):
        read(lying)


def test_damaged_content_is_found_by_its_checksum() -> None:
    raw = bytearray(zipped(("x.txt", ROWS.encode()), method=zipfile.ZIP_STORED))
    raw[raw.index(b"X0030")] = ord("Y")
    with pytest.raises(TranslationError, match="完整的 zip"):
        read(bytes(raw))


def test_a_total_larger_than_allowed_is_refused_as_it_is_read() -> None:
    with (
        opened_texts(ROWS.encode(), "1301", Limits(total_bytes=100)) as texts,
        pytest.raises(TranslationError, match="超出限度"),
    ):
        _ = [stream.read() for _, stream in texts]
