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
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_UNUSUAL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML can't hold, and the carriage return, which it writes as a reference."""
_MARKUP = re.compile("[&<>]")
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"

_GBK_NAMES = ("gbk", "gb2312", "cp936", "gb18030")


def read_xml(raw: bytes | str, max_bytes: int = BYTES_MAX, max_depth: int = DEPTH_MAX) -> etree._Element:
    """The root element of one XML text.  In a ``str`` any encoding declaration is ignored: it is decoded already.

    Comments are dropped.  Raises: TranslationError for what isn't well-formed, a DOCTYPE or entity declaration, a
    processing instruction, an encoding that is neither UTF-8 nor of the GBK family, more than ``max_bytes`` bytes,
    ``max_depth`` levels or 100 000 elements.
    """
    if len(raw) > max_bytes:
        raise _bad("XML", f"at most {max_bytes} bytes", f"{len(raw)} bytes")
    text = _text_without_declaration(raw)
    if _DOCTYPE.search(text):
        raise _bad("XML", "no DOCTYPE", "a DOCTYPE or entity declaration")
    # Before parsing: every element costs a "<", every attribute a "=", whatever they are inside of.
    if text.count("<") + text.count("=") > 4 * ELEMENTS_MAX:
        raise _bad("XML", f"at most {ELEMENTS_MAX} elements", "far more markup")
    root = _parse(text)
    _refuse_excess(root, text, max_depth)
    return root


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
    text = plain_text(root_name, tree)
    if text is None:
        return xml_text(element_of(root_name, tree), declaration)
    if declaration is None:
        return text
    encode_text(text, declaration)
    return f'<?xml version="1.0" encoding="{declaration}"?>{text}'


def plain_text(name: str, tree: Any, prefix: str = "") -> str | None:
    """A tree of ASCII names and of texts that XML writes as they are, as XML text; None for any other.

    prefix: of every name, its colon included.
    """
    pieces: list[str] = []
    if not _add_plain(prefix, name, tree, pieces):
        return None
    text = "".join(pieces)
    return None if _UNUSUAL.search(text) else text


def plain_content(text: str) -> str | None:
    """A text as XML writes it between two tags; None for one that isn't written as it is (`plain_text`)."""
    return None if _UNUSUAL.search(text) else _escaped(text)


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
        text = decode_text(raw, _declared_charset(raw))[0]
    found = _DECLARATION.match(text)
    return text[found.end() :] if found else text.lstrip()


def _declared_charset(raw: bytes) -> str:
    """``auto`` where nothing is declared; the declaration itself is ASCII in every charset we accept."""
    declaration = _DECLARATION.match(raw[:300].decode("ascii", "ignore"))
    found = _ENCODING.search(declaration.group(1)) if declaration else None
    if not found:
        return "auto"
    name = found.group(1).lower()
    if name not in ("utf-8", "utf8", *_GBK_NAMES):
        raise _bad("XML declaration", "the encoding UTF-8 or one of the GBK family", "another encoding")
    return name


@lru_cache(4096)
def _is_plain_name(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None


def _add_plain(prefix: str, name: str, tree: Any, pieces: list[str]) -> bool:
    """Add an element's text to ``pieces``; False where our own writing doesn't know how."""
    if not _is_plain_name(name):
        return False
    if type(tree) is str:
        text = _escaped(tree) if _MARKUP.search(tree) else tree
        pieces.append(f"<{prefix}{name}>{text}</{prefix}{name}>")
        return True
    if type(tree) is not dict:
        return False
    opened = len(pieces)
    pieces.append(f"<{prefix}{name}>")
    for child, value in tree.items():
        if type(value) is list:
            if not all(_add_plain(prefix, child, item, pieces) for item in value):
                return False
        elif type(value) is not str or not _is_plain_name(child):
            if not _add_plain(prefix, child, value, pieces):
                return False
        else:
            text = _escaped(value) if _MARKUP.search(value) else value
            pieces.append(f"<{prefix}{child}>{text}</{prefix}{child}>")
    if len(pieces) == opened + 1:
        pieces[opened] = f"<{prefix}{name}/>"
    else:
        pieces.append(f"</{prefix}{name}>")
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
    if text.count("<") > ELEMENTS_MAX and float(_ELEMENTS(root)) > ELEMENTS_MAX:  # type: ignore[arg-type]
        raise _bad("XML", f"at most {ELEMENTS_MAX} elements", "more")
    # every level but an empty innermost one is closed by a tag of its own
    if text.count("</") + 1 > max_depth and _deeper_than(max_depth)(root):
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
