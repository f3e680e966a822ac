from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from adapter_core.formats.xml import element_of, read_tree, read_xml, tree_of, tree_text, write_xml, xml_text
from adapter_core.values.errors import ContractError, TranslationError

BILLION_LAUGHS = (
    '<!DOCTYPE a [<!ENTITY b "ha">'
    + "".join(f'<!ENTITY {n} "&{p};&{p};">' for n, p in zip("cdefghi", "bcdefgh", strict=True))
    + "]>"
    "<a>&i;</a>"
)
HOSTILE = {
    "xxe": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    "external dtd": '<!DOCTYPE a SYSTEM "http://address.invalid/x.dtd"><a/>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]><a/>',
    "billion laughs": BILLION_LAUGHS,
    "empty doctype": "<!DOCTYPE a><a/>",
    "lower case": "<!doctype a><a/>",
    "undeclared entity": "<a>&x;</a>",
    "stylesheet": '<?xml-stylesheet href="http://address.invalid/x.xsl"?><a/>',
    "instruction inside": "<a><?php x?></a>",
    "instruction after": "<a/><?x y?>",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize(
    ("charset", "declaration"),
    [
        ("utf-8", ""),
        ("utf-8", '<?xml version="1.0" encoding="UTF-8"?>'),
        ("utf-8-sig", '<?xml version="1.0"?>'),
        ("gb18030", '<?xml version="1.0" encoding="GBK"?>'),
        ("utf-16", '<?xml version="1.0" encoding="UTF-16"?>'),
        ("utf-16-le", ""),
        ("utf-32", ""),
    ],
)
def test_hostile_xml_is_refused_in_every_encoding(text: str, charset: str, declaration: str) -> None:
    with pytest.raises(TranslationError):
        read_xml((declaration + text).encode(charset))


@pytest.mark.parametrize("name", ["xxe", "external dtd", "parameter entity", "billion laughs", "empty doctype"])
def test_a_doctype_is_found_before_parsing(name: str) -> None:
    for raw in (HOSTILE[name], HOSTILE[name].encode("gbk"), f"\n<!-- c -->{HOSTILE[name]}"):
        with pytest.raises(TranslationError, match="a DOCTYPE or entity declaration"):
            read_xml(raw)


@pytest.mark.parametrize("encoding", ["UTF-16", "ISO-8859-1", "UTF-7", "Big5"])
def test_other_declared_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(TranslationError, match="UTF-8 or one of the GBK family"):
        read_xml(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())


@pytest.mark.parametrize("encoding", ["GBK", "gb2312", "GB18030"])
def test_declared_gbk_is_read_as_gb18030(encoding: str) -> None:
    raw = f'<?xml version = "1.0" encoding="{encoding}" standalone="yes" ?>\r\n<a>测试㐂</a>'.encode("gb18030")
    assert tree_of(read_xml(raw)) == "测试㐂"


def test_bytes_and_declaration_must_agree() -> None:
    with pytest.raises(TranslationError):
        read_xml('<?xml version="1.0" encoding="UTF-8"?><a>测试</a>'.encode("gbk"))
    with pytest.raises(TranslationError, match="byte-order mark"):
        read_xml(b"\xef\xbb\xbf" + b'<?xml version="1.0" encoding="GBK"?><a/>')


def test_text_is_decoded_already_so_its_declaration_means_nothing() -> None:
    assert tree_of(read_xml('\n<?xml version="1.0" encoding="GBK"?>\n<a>测试</a>')) == "测试"


@pytest.mark.parametrize("opening", ["<a>", '<a xmlns:b="u">'])
def test_100_000_levels_are_refused(opening: str) -> None:
    with pytest.raises(TranslationError):
        read_xml(opening * 100_000)


def test_depth_is_counted_exactly() -> None:
    read_xml("<a>" * 64 + "</a>" * 64)
    with pytest.raises(TranslationError, match="64 levels"):
        read_xml("<a>" * 65 + "</a>" * 65)


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ("<b/>" * 150_000, "got more"),
        ("<b/>" * 500_000, "got far more markup"),
        ("<b " + " ".join(f'c{number}=""' for number in range(450_000)) + "/>", "got far more markup"),
    ],
    ids=["counted after parsing", "elements before parsing", "attributes before parsing"],
)
def test_too_much_markup_is_refused(body: str, got: str) -> None:
    with pytest.raises(TranslationError, match=f"100000 elements, {got}"):
        read_xml(f"<a>{body}</a>")


def test_size_is_capped() -> None:
    with pytest.raises(TranslationError, match="at most 10 bytes"):
        read_xml(b"<a>12345</a>", max_bytes=10)


def test_refusals_hold_nothing_of_the_message() -> None:
    secret = "测试甲110101190001010000"
    hostile = (
        f"<{secret}></b>",
        f"<a>&{secret};</a>",
        f"{secret}<a/>",
        f"<a {secret}/>",
        f"<a><{secret}/>{secret}</a>",
    )
    for text in hostile:
        with pytest.raises(TranslationError) as refusal:
            tree_of(read_xml(text))
        assert "测试甲" not in str(refusal.value)
        assert refusal.value.__cause__ is None


def test_a_tree_keeps_leaves_repeats_and_order() -> None:
    tree = tree_of(
        read_xml(
            '<p:input xmlns:p="urn:x"><p:aab301>360100</p:aab301><detail><row><a>1</a></row><row><a> 2 </a></row>'
            "<row>3</row></detail><!-- c --><empty/><cdata><![CDATA[<?xml?><b>&]]></cdata></p:input>"
        )
    )
    assert tree == {
        "aab301": "360100",
        "detail": {"row": [{"a": "1"}, {"a": " 2 "}, "3"]},
        "empty": "",
        "cdata": "<?xml?><b>&",
    }
    assert isinstance(tree, dict)
    assert list(tree) == ["aab301", "detail", "empty", "cdata"]


@pytest.mark.parametrize("text", ["<a><b/>x</a>", "<a>x<b/></a>", '<a b="1"/>', '<a><b c="1">x</b></a>'])
def test_what_a_tree_has_no_place_for_is_refused(text: str) -> None:
    with pytest.raises(TranslationError):
        tree_of(read_xml(text))


def test_an_element_is_written_in_the_form_of_the_samples() -> None:
    element = element_of("result", {"sign": "", "row": [{"aac003": "测试甲"}, {"aac003": "a<b"}]})
    inner = "<result><sign></sign><row><aac003>测试甲</aac003></row><row><aac003>a&lt;b</aac003></row></result>"
    assert xml_text(element) == inner
    assert xml_text(element, "GBK") == f'<?xml version="1.0" encoding="GBK"?>{inner}'
    assert write_xml(element, "GBK") == f'<?xml version="1.0" encoding="GBK"?>{inner}'.encode("gbk")
    assert write_xml(element) == f'<?xml version="1.0" encoding="UTF-8"?>{inner}'.encode()


def test_claimed_gbk_refuses_what_gbk_lacks_even_as_text() -> None:
    element = element_of("a", "㐂")
    for write in (xml_text, write_xml):
        with pytest.raises(TranslationError, match="U\\+3402 㐂"):
            write(element, "GBK")
    assert xml_text(element) == "<a>㐂</a>"


def test_what_xml_cannot_hold_is_refused_by_place() -> None:
    for text in ("\x00", "\x0b", "\ud800", "\ufffe"):
        with pytest.raises(TranslationError) as refusal:
            element_of("input", {"row": [{"aac003": text}]})
        assert refusal.value.faults[0].path == "input.row.aac003"


@pytest.mark.parametrize("tree", [{"a b": ""}, {"": ""}, {"a": 1}, {"a": None}, {"1": "x"}])
def test_impossible_trees_are_our_own_mistake(tree: Any) -> None:
    with pytest.raises(ContractError):
        element_of("input", tree)


names = st.text("abcxyz0129_", min_size=1, max_size=6).map(lambda name: f"n{name}")
leaves = st.text(max_size=8)
trees = st.recursive(
    leaves,
    lambda inner: st.dictionaries(names, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3),
    max_leaves=12,
)


@given(tree=trees)
def test_what_is_written_reads_back(tree: Any) -> None:
    try:
        raw = write_xml(element_of("input", tree))
    except TranslationError:
        return
    assert tree_of(read_xml(raw)) == tree


@given(raw=st.binary() | st.text(alphabet="<>/!?[]CDATA&;#x0ab\"'= -测", max_size=60).map(str.encode))
def test_any_bytes_give_an_element_or_a_translation_error(raw: bytes) -> None:
    for body in (raw, b"<a>" + raw + b"</a>", b'<?xml version="1.0" encoding="GBK"?><a>' + raw + b"</a>"):
        try:
            element = read_xml(body)
            tree = tree_of(element)
        except TranslationError:
            continue
        assert isinstance(element, etree._Element)
        assert isinstance(tree, (str, dict))


def outcome(function: Callable[[], Any]) -> Any:
    """What it gives, or why it refuses."""
    try:
        return function()
    except (TranslationError, ContractError) as refusal:
        return str(refusal)


def told(raw: bytes | str) -> tuple[str, Any]:
    root = read_xml(raw)
    return etree.QName(root).localname, tree_of(root)


MARKUP = (
    "<a>,</a>,<b>,</b>,<a/>,<c-1.x>1</c-1.x>,<b></b>,<p:a xmlns:p='u'>,</p:a>,<a c='1'>,<!--c-->,<?p?>,<![CDATA[<a>]]>,"
    "]]>,&lt;,&x;,&,>,x,测,<测>,</测>,<1>,<a ,</a >"
)
SPACES_AND_WORSE = (" ", "\n", "\r", "\t", "<b> </b>", "\u3000", "\xa0", "\x85", "\ufffe", "\ud800")
pieces = st.sampled_from((*MARKUP.split(","), *SPACES_AND_WORSE))


@given(texts=st.lists(pieces, max_size=12).map("".join))
@example("]]>")
@example(" </b><b>")
@example("<b> <a>1</a></a>")
def test_a_tree_is_the_same_with_and_without_elements_made_of_it(texts: str) -> None:
    for text in (texts, f"<a>{texts}</a>", f"<a><b>{texts}</b><b>2</b></a>"):
        assert outcome(lambda text=text: read_tree(text)) == outcome(lambda text=text: told(text))  # type: ignore[misc]


@pytest.mark.parametrize("opened", [63, 64, 65])
@pytest.mark.parametrize("inside", ["", "<b></b>", "<b/>", "1"])
def test_a_tree_of_many_levels_is_as_deep_as_its_elements(opened: int, inside: str) -> None:
    text = "<a>" * opened + inside + "</a>" * opened
    assert outcome(lambda: read_tree(text)) == outcome(lambda: told(text))


def test_a_tree_has_no_more_elements_than_xml() -> None:
    for number in (99_999, 100_000):
        text = f"<a>{'<b></b>' * number}</a>"
        assert outcome(lambda text=text: read_tree(text)) == outcome(lambda text=text: told(text))  # type: ignore[misc]


odd_names = st.sampled_from(["a", "b", "c-1", "_d", "a b", "1", "p:q", "测", ""])
odd_trees = st.recursive(
    st.text("x<>&\r\n\x00\x85\ufffe\ud800测", max_size=4),
    lambda inner: st.dictionaries(odd_names, inner | st.lists(inner, max_size=2), max_size=4),
    max_leaves=10,
)


@given(tree=trees | odd_trees, declaration=st.sampled_from([None, "GBK", "UTF-8"]))
@example({"a": "<&>"}, "GBK")
@example({"a": "<&>", "b": {"c": []}}, "GBK")
def test_a_tree_is_written_the_same_with_and_without_elements_made_of_it(tree: Any, declaration: str | None) -> None:
    written = outcome(lambda: tree_text("input", tree, declaration))
    assert written == outcome(lambda: xml_text(element_of("input", tree), declaration))
