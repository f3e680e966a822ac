from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.formats.text import UTF_8_MARK, decode_text, encode_text
from adapter_core.values.errors import ContractError, TranslationError

CHARSETS = ["utf-8", "gbk", "gb2312", "cp936", "gb18030"]


def test_auto_prefers_utf_8_and_falls_back_to_gb18030() -> None:
    assert decode_text("测试甲".encode()) == ("测试甲", "utf-8")
    assert decode_text(UTF_8_MARK + "测试甲".encode()) == ("测试甲", "utf-8")
    assert decode_text("测试甲".encode("gbk")) == ("测试甲", "gb18030")


@pytest.mark.parametrize("charset", ["gbk", "GB2312", "cp936", "gb18030"])
def test_every_gbk_name_reads_characters_only_gb18030_has(charset: str) -> None:
    assert decode_text("㐂𠮷".encode("gb18030"), charset) == ("㐂𠮷", "gb18030")


@pytest.mark.parametrize(
    "raw",
    [
        "测试".encode("gbk")[:-1],  # cut inside a character
        b"\xff\xfe<\x00a\x00",  # UTF-16
        b"\xff\xff",
    ],
)
def test_bytes_of_no_charset_are_refused(raw: bytes) -> None:
    with pytest.raises(TranslationError):
        decode_text(raw)


def test_cut_utf_8_is_refused_when_utf_8_is_declared_or_marked() -> None:
    cut = "测试".encode()[:-1]
    with pytest.raises(TranslationError, match="byte 3"):
        decode_text(cut, "utf-8")
    with pytest.raises(TranslationError):
        decode_text(UTF_8_MARK + cut)


def test_a_utf_8_mark_contradicts_declared_gbk() -> None:
    with pytest.raises(TranslationError, match="byte-order mark"):
        decode_text(UTF_8_MARK + b"abc", "gbk")


CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\r\n"]


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_every_control_character_is_refused_both_ways(charset: str) -> None:
    for control in CONTROLS:
        with pytest.raises(TranslationError, match=f"U\\+{ord(control):04X}"):
            decode_text(f"甲{control}".encode(charset), charset)
        with pytest.raises(TranslationError, match="character 2"):
            encode_text(f"甲{control}", charset)
        with pytest.raises(TranslationError, match="no control character"):
            encode_text(f"甲{control}", "gbk")


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_line_ends_tabs_and_the_neighbours_of_controls_are_text(charset: str) -> None:
    text = "a\r\n\tb \xa0~·\u4e02"  # 丂 begins with the byte 81 of the controls in GB18030, · with their C2 in UTF-8
    assert decode_text(encode_text(text, charset), charset)[0] == text


@pytest.mark.parametrize("charset", ["gbk", "GB2312", "cp936"])
def test_writing_gbk_names_each_character_it_lacks(charset: str) -> None:
    with pytest.raises(TranslationError) as refusal:
        encode_text("测试㐂乙𠮷㐂", charset)
    assert [(fault.path, fault.got) for fault in refusal.value.faults] == [
        ("text, character 3", "U+3402 㐂"),
        ("text, character 5", "U+20BB7 𠮷"),
    ]
    assert "测试" not in str(refusal.value)


def test_writing_gb18030_where_declared_says_everything() -> None:
    assert decode_text(encode_text("㐂𠮷", "gb18030"), "gb18030")[0] == "㐂𠮷"


def test_half_a_character_is_refused_without_breaking_the_message() -> None:
    with pytest.raises(TranslationError) as refusal:
        encode_text("甲\ud800", "utf-8")
    str(refusal.value).encode("utf-8")


def test_unknown_charsets_are_our_own_mistake() -> None:
    for charset in ("latin-1", "utf-16", ""):
        with pytest.raises(ContractError):
            decode_text(b"a", charset)
        with pytest.raises(ContractError):
            encode_text("a", charset)


@given(raw=st.binary(), charset=st.sampled_from(["auto", *CHARSETS]))
def test_any_bytes_give_text_or_a_translation_error(raw: bytes, charset: str) -> None:
    try:
        text, used = decode_text(raw, charset)
    except TranslationError:
        return
    assert text.encode(used) == raw.removeprefix(UTF_8_MARK) or used == "gb18030"


@given(text=st.text().filter(lambda text: not text.startswith("\ufeff")), charset=st.sampled_from(CHARSETS))
def test_what_is_written_reads_back(text: str, charset: str) -> None:
    try:
        raw = encode_text(text, charset)
    except TranslationError:
        return
    assert decode_text(raw, charset)[0] == text
