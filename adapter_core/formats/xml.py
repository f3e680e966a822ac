"""XML, read with everything dangerous off, and the neutral tree that field tables work on.

The bytes are decoded by our own rules before lxml sees them: an encoding declaration is believed only as UTF-8 or as a
name of the GBK family, and then dropped.  libxml2's own readers would accept UTF-16 and dozens of other charsets, each
a way past a check on the text; its GBK also lacks the characters that only GB18030 has.

No exception text holds any part of a message but short element names.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lxml import etree

from adapter_core.formats.text import decode_text, encode_text
from adapter_core.values.errors import ContractError, Fault, TranslationError

BYTES_MAX = 8 * 1024 * 1024
DEPTH_MAX = 64
ELEMENTS_MAX = 100_000
"""A settlement of 300 lines has about 20 000 elements; a tree of this size takes about 50 MB."""

_DECLARATION = re.compile(r"\s*<\?xml\s([^?]{0,200})\?>\s*")
_ENCODING = re.compile(r"""encoding\s*=\s*["']([A-Za-z0-9._\-]{1,20})["']""")
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_SHOWABLE_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,40}")
_HAS_ATTRIBUTE = etree.XPath("boolean(descendant-or-self::*/@*)")
_ELEMENTS = etree.XPath("count(//*)")
_HAS_INSTRUCTION = etree.XPath("boolean(//processing-instruction())")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,99}")
_PLAIN_PIECE = re.compile(
    rf"<({_PLAIN_NAME.pattern})>(?:([^<>&]*+)(</)\1>)?[ \t\n]*+|</({_PLAIN_NAME.pattern})>[ \t\n]*+|([\s\S]+)"
)
"""A whole leaf, the start of an element, its end, or what is none of them and all behind it."""
_UNUSUAL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML can't hold, and the carriage return, which it writes as a reference and reads as another."""
_USUAL_BYTES = b"\t\n" + bytes(range(0x20, 0x100)).replace(b"\xef", b"")
"""Bytes of UTF-8 that are part of no unusual character: those are below a space, or begin with EF."""
_MARKUP = re.compile("[&<>]")
_TEXTS = frozenset({str})
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"

_GBK_NAMES = ("gbk", "gb2312", "cp936", "gb18030")


def read_xml(raw: bytes | str, max_bytes: int = BYTES_MAX, max_depth: int = DEPTH_MAX) -> etree._Element:
    """The root element of one XML text.  In a ``str`` any encoding declaration is ignored: it is decoded already.

    Comments are dropped.  Raises: TranslationError for what isn't well-formed, a DOCTYPE or entity declaration, a
    processing instruction, an encoding that is neither UTF-8 nor of the GBK family, more than ``max_bytes`` bytes,
    ``max_depth`` levels or 100 000 elements.
    """
    return element_in(checked_text(raw, max_bytes), max_depth)


def checked_text(raw: bytes | str, max_bytes: int = BYTES_MAX) -> str:
    """The text without its declaration, for `element_in`.  Raises: TranslationError for what `read_xml` refuses unparsed."""
    if len(raw) > max_bytes:
        raise _bad("XML", f"at most {max_bytes} bytes", f"{len(raw)} bytes")
    text = _text_without_declaration(raw)
    if "!" in text and _DOCTYPE.search(text):
        raise _bad("XML", "no DOCTYPE", "a DOCTYPE or entity declaration")
    # Before parsing: every element costs a "<", every attribute a "=", whatever they are inside of.
    if text.count("<") + text.count("=") > 4 * ELEMENTS_MAX:
        raise _bad("XML", f"at most {ELEMENTS_MAX} elements", "far more markup")
    return text


def element_in(text: str, max_depth: int = DEPTH_MAX) -> etree._Element:
    """The root element of a `checked_text`.  Raises: as read_xml."""
    root = _parse(text)
    _refuse_excess(root, text, max_depth)
    return root


def read_tree(raw: bytes | str) -> tuple[str, dict[str, Any] | str]:
    """The root element's name, and `tree_of` it.  A plain text, as most are, is read without making elements of it: five times
    as fast.

    Raises: as read_xml and tree_of.
    """
    text = checked_text(raw)
    plain = _plain_tree(text)
    if plain is not None:
        return plain
    root = element_in(text)
    return etree.QName(root).localname, tree_of(root)


def tree_of(element: etree._Element) -> dict[str, Any] | str:
    """The neutral tree of an element's content: str for a leaf, else a dict of child name → tree, a list for repeats.

    Namespaces are dropped; ``xsi:`` attributes are ignored.  Raises: TranslationError for text beside child elements
    and for any other attribute: a tree has no place for them, and dropping data silently isn't reading.
    """
    return _tree_of(element, (), bool(_HAS_ATTRIBUTE(element)))


def element_of(root_name: str, tree: Any) -> etree._Element:
    """The element named ``root_name`` with the content of a neutral tree, in the tree's order: ``tree_of`` reversed.

    An empty text is written ``<a></a>``, the form the samples have.  Raises: TranslationError for characters XML can't
    hold, naming the place; ContractError for a name XML can't have or a value that is neither dict, list nor str.
    """
    root = _new(root_name, root_name)
    _fill(root, tree, root_name)
    return root


def xml_text(element: etree._Element, declaration: str | None = None) -> str:
    """The element as text, for carrying inside another message: ``declaration`` is the encoding it claims, if any.

    Raises: TranslationError naming characters that the claimed charset lacks; ContractError for an unknown charset.
    """
    text = etree.tostring(element, encoding="unicode", with_tail=False)
    if declaration is None:
        return text
    encode_text(text, declaration)
    return f'<?xml version="1.0" encoding="{declaration}"?>{text}'


def tree_text(root_name: str, tree: Any, declaration: str | None = None) -> str:
    """``xml_text(element_of(root_name, tree), declaration)``, for usual trees without making elements of them: four times as fast.

    Raises: as those two.
    """
    pieces: list[str] = []
    text = "".join(pieces) if _add_plain(root_name, tree, pieces) else ""
    if not text or not is_usual(text):
        return xml_text(element_of(root_name, tree), declaration)
    if declaration is None:
        return text
    encode_text(text, declaration)
    return f'<?xml version="1.0" encoding="{declaration}"?>{text}'


def plain_content(text: str) -> str | None:
    """A text as XML writes it between two tags; None where it has more to do than escape marks."""
    return _escaped(text) if is_usual(text) else None


def is_usual(text: str) -> bool:
    """Whether XML can hold every character, and reads and writes it as it is."""
    try:
        odd = text.encode("utf-8").translate(None, _USUAL_BYTES)
    except UnicodeEncodeError:
        return False
    return not odd or not _UNUSUAL.search(text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def write_xml(element: etree._Element, declaration: str = "UTF-8") -> bytes:
    """The element as bytes in the charset that its declaration names (``UTF-8``, ``GBK`` …).  Raises: as xml_text."""
    return encode_text(xml_text(element, declaration), declaration)


def _bad(path: str, expected: str, got: str) -> TranslationError:
    return TranslationError([Fault(path, expected, got)])


def _text_without_declaration(raw: bytes | str) -> str:
    if isinstance(raw, str):
        text = raw.removeprefix("\ufeff")
    else:
        text = decode_text(raw, _declared_charset(raw[: raw.find(b"?>", 0, 300) + 2]))[0]
    found = _DECLARATION.match(text)
    return text[found.end() :] if found else text.lstrip()


@lru_cache(256)
def _declared_charset(head: bytes) -> str:
    """``auto`` where nothing is declared; the declaration itself is ASCII in every charset we accept.  head: ends with it."""
    declaration = _DECLARATION.match(head.decode("ascii", "ignore"))
    found = _ENCODING.search(declaration.group(1)) if declaration else None
    if not found:
        return "auto"
    name = found.group(1).lower()
    if name not in ("utf-8", "utf8", *_GBK_NAMES):
        raise _bad("XML declaration", "the encoding UTF-8 or one of the GBK family", "another encoding")
    return name


def _plain_tree(text: str) -> tuple[str, dict[str, Any] | str] | None:
    """The root's name and tree of a text of ASCII names, of no attributes and of leaves without references; None for any other,
    well-formed or not.

    Names and texts of such a text are what every reader of XML makes of them.
    """
    if text.count("<") > ELEMENTS_MAX or not is_usual(text):
        return None
    tree: dict[str, Any] = {}
    above: list[tuple[str, dict[str, Any]]] = []
    for name, leaf, is_leaf, closed, _ in _PLAIN_PIECE.findall(text):
        if is_leaf:
            value: Any = leaf
        elif name and len(above) < DEPTH_MAX - 1:
            above.append((name, tree))
            tree = {}
            continue
        elif closed and above and above[-1][0] == closed:
            value = tree
            name, tree = above.pop()
        else:
            return None
        if name not in tree:
            tree[name] = value
        elif type(tree[name]) is list:
            tree[name].append(value)
        else:
            tree[name] = [tree[name], value]
    root = None if above or len(tree) != 1 else next(iter(tree.items()))
    return None if root is None or type(root[1]) is list else root


@lru_cache(4096)
def _is_plain_name(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None


def _add_plain(name: str, tree: Any, pieces: list[str]) -> bool:
    """Add the text of an element of ASCII names and of texts; False for any other."""
    if not _is_plain_name(name):
        return False
    if type(tree) is str:
        pieces.append(f"<{name}>{_escaped(tree)}</{name}>")
        return True
    if type(tree) is not dict:
        return False
    pieces.append(f"<{name}>")
    opened = len(pieces)
    if _TEXTS.issuperset(map(type, tree.values())) and all(map(_is_plain_name, tree)):
        # a record as most are: leaves only
        leaves = [f"<{leaf}>{text}</{leaf}>" for leaf, text in tree.items()]
        if _MARKUP.search("".join(tree.values())):
            leaves = [f"<{leaf}>{_escaped(text)}</{leaf}>" for leaf, text in tree.items()]
        pieces += leaves
    else:
        for child, value in tree.items():
            for item in value if type(value) is list else (value,):
                if not _add_plain(child, item, pieces):
                    return False
    if len(pieces) == opened:
        pieces[-1] = f"<{name}/>"
    else:
        pieces.append(f"</{name}>")
    return True


_PARSER = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    remove_comments=True,
)


def _parse(text: str) -> etree._Element:
    try:
        return etree.fromstring(text.encode("utf-8"), _PARSER)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        # The parser's own words quote names and entities of the message; its error's name doesn't.
        log: Any = error.error_log
        kind = log.last_error.type_name if log.last_error is not None else "a syntax error"
        raise _bad(f"XML, line {line}, column {column}", "well-formed XML", kind) from None
    except (ValueError, etree.LxmlError) as error:
        raise _bad("XML", "well-formed XML", type(error).__name__) from None


def _refuse_excess(root: etree._Element, text: str, max_depth: int) -> None:
    """Each is looked for in the tree only where the text has the markup for it."""
    if "<?" in text and _HAS_INSTRUCTION(root):
        raise _bad("XML", "no processing instruction", "a processing instruction")
    tags = text.count("<")
    if tags > ELEMENTS_MAX and float(_ELEMENTS(root)) > ELEMENTS_MAX:  # type: ignore[arg-type]
        raise _bad("XML", f"at most {ELEMENTS_MAX} elements", "more")
    # every level but an empty innermost one is closed by a tag of its own
    if tags > max_depth and text.count("</") + 1 > max_depth and _deeper_than(max_depth)(root):
        raise _bad("XML", f"at most {max_depth} levels", "more")


@lru_cache(8)
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath("boolean(" + "/*" * (depth + 1) + ")")


def _shown(element: etree._Element) -> str:
    name = etree.QName(element).localname
    return name if _SHOWABLE_NAME.fullmatch(name) else "?"


def _tree_of(element: etree._Element, above: tuple[etree._Element, ...], attributes: bool) -> dict[str, Any] | str:
    """above: the elements it is inside of; their names are spelt out only when a fault needs them.  attributes: whether there
    are any in the whole tree."""
    if attributes and element.attrib:
        _refuse_attributes(element, above)
    if not len(element):
        return element.text or ""
    tree: dict[str, Any] = {}
    repeated: set[str] = set()
    inside = (*above, element)
    text = element.text
    if text and text.strip():
        raise _bad(_path(inside), "elements only, or text only", "text beside elements")
    for child in element:
        tail = child.tail
        if tail and tail.strip():
            raise _bad(_path(inside), "elements only, or text only", "text beside elements")
        name = str(child.tag)
        if name[0] == "{":
            name = name.rpartition("}")[2]
        is_leaf = not (len(child) or (attributes and child.attrib))
        value: Any = child.text or "" if is_leaf else _tree_of(child, inside, attributes)
        if name not in tree:
            tree[name] = value
        elif name in repeated:
            tree[name].append(value)
        else:
            tree[name] = [tree[name], value]
            repeated.add(name)
    return tree


def _refuse_attributes(element: etree._Element, above: tuple[etree._Element, ...]) -> None:
    if any(not str(name).startswith(_SCHEMA_INSTANCE) for name in element.attrib):
        raise _bad(_path((*above, element)), "an element without attributes", "attributes")


def _path(elements: tuple[etree._Element, ...]) -> str:
    return ".".join(map(_shown, elements))


def _new(name: str, path: str) -> etree._Element:
    try:
        return etree.Element(name)
    except ValueError:
        raise ContractError(f"{path}: not a name XML can have") from None


def _fill(element: etree._Element, tree: Any, path: str) -> None:
    if isinstance(tree, str):
        _set_text(element, tree, path)
        return
    if not isinstance(tree, dict):
        raise ContractError(f"{path}: {type(tree).__name__} can't be written; a tree has dict, list and str")
    for name, value in tree.items():
        for item in value if isinstance(value, list) else (value,):
            try:
                child = etree.SubElement(element, name)
            except ValueError:
                raise ContractError(f"{path}.{name}: not a name XML can have") from None
            if type(item) is str:
                _set_text(child, item, path, name)
            else:
                _fill(child, item, f"{path}.{name}")


def _set_text(element: etree._Element, text: str, path: str, name: str = "") -> None:
    try:
        element.text = text
    except ValueError:
        place = f"{path}.{name}" if name else path
        raise _bad(place, "characters XML can hold", "a control character or half a character") from None
