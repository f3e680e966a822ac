from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_core.formats import json as json_format
from adapter_core.formats.json import read_json, write_json
from adapter_core.values.errors import ContractError, TranslationError


def test_numbers_keep_their_exact_value_and_places() -> None:
    tree = read_json(b'{"a": 186.50, "b": 2, "c": -0.1, "d": 1E+2, "e": null, "f": true}')
    assert tree == {"a": Decimal("186.50"), "b": 2, "c": Decimal("-0.1"), "d": Decimal(100), "e": None, "f": True}
    assert str(tree["a"]) == "186.50"
    assert type(tree["b"]) is int
    assert type(tree["d"]) is Decimal


def test_a_byte_order_mark_and_decoded_text_are_accepted() -> None:
    assert read_json("\ufeff{}".encode()) == {}
    assert read_json('{"psn_name":"测试甲"}') == {"psn_name": "测试甲"}


def test_what_is_broken_behind_a_duplicate_key_is_a_refusal_too() -> None:
    with pytest.raises(TranslationError):
        read_json(b'{"a":1,"a":2},')


PIECES = st.sampled_from(
    [
        *'{}[]":,.-\\eE5 ',
        "\n",
        "null",
        "true",
        "NaN",
        '"a":',
        '"a":1.50,',
        '"a" :2,',
        '"a"\t: ":",',
        '"\\u0061":3',
        '"\\"":4,',
        '"\\\\":":-0",',
        '"\\ud83d\\ude00"',
        "\\ud800",
        "1e5",
        "-0",
        "9" * 20,
        "9" * 40,
        "9" * 41,
        f'"{"9" * 41}"',
        "1E+" + "0" * 80 + "1",
        f"0.{'0' * 43}1E{'0' * 36}5",
        "0.10",
        '"测:{"',
    ]
)


@given(st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=8)))
def test_the_quick_reader_and_writer_do_exactly_what_the_thorough_ones_do(text: str) -> None:
    for body in (text, f'{{"a":[{text}],"b":"{text}"}}', f'["{text}",{text}]', f'{{"b":1,{text}}}'):
        quick_is_thorough(body.encode("utf-8", "surrogatepass"))


def quick_is_thorough(raw: bytes) -> None:
    quick = json_format._read_plain(raw, json_format.DEPTH_MAX)
    if quick is json_format._NOT_PLAIN:
        return
    thorough = json_format._read_exactly(raw, json_format.DEPTH_MAX)
    assert repr(quick) == repr(thorough)
    assert write_json(quick) == json_format._text(quick, ()).encode()


@given(st.data())
def test_members_however_spaced_and_spelt_are_read_as_the_thorough_reader_reads_them(data: st.DataObject) -> None:
    space = st.sampled_from(["", " ", "\t", "\n", "\r\n", "  "])
    key = st.sampled_from(['"a"', '"\\u0061"', '"b"', '""', '":"', '"\\":"', '"\\\\"', '" :"', '"测"'])
    leaf = st.one_of(key, NUMBER_TEXTS, st.sampled_from(["null", "true", '"[{"', '"}]"', '"2026-11-21 09:05:00"']))
    member = st.tuples(space, key, space, st.just(":"), space, leaf, space).map("".join)
    row = st.lists(member, max_size=4).map(lambda members: f"{{{','.join(members)}}}")
    rows = data.draw(st.lists(row, max_size=4))
    quick_is_thorough(f'{{"rows":[{",".join(rows)}]}}'.encode())


NUMBER_TEXTS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?0{0,3}[0-9]{1,2})?", fullmatch=True
) | st.from_regex(r"-?0\.0{30,45}[0-9]{0,12}([eE][+-]?0{30,45}[0-9]{1,2})?", fullmatch=True)


@given(NUMBER_TEXTS)
def test_a_number_has_at_most_40_digits_written_out(text: str) -> None:
    number = Decimal(text)
    integer = text.removeprefix("-").isdigit()
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    written_out = len(text.removeprefix("-")) if integer else max(len(digits) + max(exponent, 0), 1 - exponent)
    if written_out > 40 or len(text) > 80:
        with pytest.raises(TranslationError, match="at most 40 digits"):
            read_json(f'{{"a":[{text}]}}')
        return
    read = read_json(f'{{"a":[{text}]}}')["a"][0]
    assert (type(read), str(read)) == ((int, str(int(text))) if integer else (Decimal, str(number)))
    assert write_json([number]) == f"[{number:f}]".encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "b:c", "d": [1, -2.50, true, null], "e": {}}',
        b'{"a" : "b",\n\t"c"\t:\r\n[[], "{[\\"\\\\", "\\u6d4b\\u8bd5"]}',
        f'{{"psn_no":"{"9" * 60}","count":{"9" * 30},"rate":1.5E-3}}'.encode(),
        b"[" * 64 + b"]" * 64,
    ],
)
def test_what_messages_hold_is_read_the_quick_way(body: bytes) -> None:
    assert json_format._read_plain(body, json_format.DEPTH_MAX) is not json_format._NOT_PLAIN


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"infno":"2207","infno":"2208"}', "infno"),
        (b'{"input":{"data":[{"a":1},{"psn_no":"1","psn_no":"1"}]}}', "input.data[1].psn_no"),
        ('{"测试甲":1,"测试甲":2}'.encode(), "?"),
        (b'{"a.b":1,"\\u0061.b":2}', "a.b"),
    ],
)
def test_duplicate_keys_are_refused_by_path(body: bytes, path: str) -> None:
    with pytest.raises(TranslationError) as refusal:
        read_json(body)
    assert refusal.value.faults[0].path == path


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1E+999",
        b"1e-999",
        b"0E+41",
        b"1E+99999999999999999999",
        b"9" * 41,
        b"-" + b"9" * 41,
        b"0." + b"1" * 40,
        b"-0." + b"0" * 36 + b"1E+" + b"0" * 38 + b"5",
        b"01",
        b"1.",
        b"+1",
        b"{} {}",
        b'{"a":1,}',
        b"[1",
        b"",
        b"'a'",
        b'"\t"',
        b'"\\ud800"',
        b'{"\\uDfff":1}',
        b'"\\ud83d\\u0041"',
        b'"\xed\xa0\x80"',
        '"测"'.encode("gbk"),
        '"测'.encode()[:-1],
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_is_no_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(TranslationError):
        read_json(body)


@pytest.mark.parametrize("start", [b"", b"0.", b"1E"])
def test_numbers_of_a_million_digits_are_refused(start: bytes) -> None:
    with pytest.raises(TranslationError, match="at most 40 digits"):
        read_json(start + b"9" * 1_000_000)


def test_longest_numbers_allowed() -> None:
    assert read_json(b"9" * 40) == int("9" * 40)
    assert read_json(b"1E+39") == Decimal(10) ** 39
    assert read_json(b'"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_100_000_levels_are_refused_before_parsing(opening: bytes) -> None:
    with pytest.raises(TranslationError, match="levels"):
        read_json(opening * 100_000)


def test_depth_is_counted_exactly_and_not_inside_strings() -> None:
    assert read_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(TranslationError, match="64 levels"):
        read_json(b"[" * 65 + b"]" * 65)
    text = "[" * 100 + '"\\' + "{" * 100
    assert read_json(write_json({"a": [text, text]})) == {"a": [text, text]}


def test_size_is_capped_in_bytes() -> None:
    assert read_json(b'"1234567"', max_bytes=9)
    with pytest.raises(TranslationError, match="at most 9 bytes"):
        read_json('"测试测试"', max_bytes=9)


def test_refusals_hold_nothing_of_the_message() -> None:
    secret = "测试甲110101190001010000"
    hostile = (f'{{"{secret}":"{secret}" x', f'{{"{secret}":1,"{secret}":2}}', f'["{secret}",\ud800]', f"{secret}")
    for body in hostile:
        with pytest.raises(TranslationError) as refusal:
            read_json(body)
        assert secret not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_writing_is_compact_with_plain_decimals() -> None:
    tree = {"名": '甲/\n"', "a": Decimal("1E+2"), "b": Decimal("0E-8"), "c": [Decimal("186.50"), 3, True, None, {}, []]}
    assert write_json(tree).decode() == '{"名":"甲/\\n\\"","a":100,"b":0.00000000,"c":[186.50,3,true,null,{},[]]}'


@pytest.mark.parametrize("value", [1.5, Decimal("NaN"), Decimal("-Infinity"), b"x", {1: 2}, {"a": {"b": object()}}])
def test_what_has_no_exact_json_is_our_own_mistake(value: Any) -> None:
    with pytest.raises(ContractError):
        write_json([value])


def test_faults_in_writing_name_the_place() -> None:
    with pytest.raises(TranslationError) as refusal:
        write_json({"input": {"rows": [{"cnt": Decimal("1E+40")}]}})
    assert refusal.value.faults[0].path == "input.rows[0].cnt"
    with pytest.raises(TranslationError, match="at most 40 digits"):
        write_json(10**40)
    with pytest.raises(ContractError, match=r"input\.pric: float"):
        write_json({"input": {"pric": 0.1}})
    with pytest.raises(TranslationError, match="surrogate"):
        write_json("\ud800")


numbers = st.integers(-(10**30), 10**30) | st.decimals(-(10**15), 10**15, places=4) | st.just(Decimal("-0"))
trees = st.recursive(
    st.none() | st.booleans() | st.text() | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(tree=trees)
def test_what_is_written_reads_back(tree: Any) -> None:
    assert read_json(write_json(tree)) == tree


@given(raw=st.binary() | st.text(alphabet='{}[]",:\\u0d8e1E+-.Na ', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_a_translation_error(raw: bytes) -> None:
    try:
        tree = read_json(raw)
    except TranslationError:
        return
    assert read_json(write_json(tree)) == tree


def test_importing_the_json_reader_stays_light() -> None:
    heavy = "lxml zeep requests httpx"
    code = f"import sys, adapter_core.formats.json; sys.exit(any(name in sys.modules for name in {heavy.split()}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
