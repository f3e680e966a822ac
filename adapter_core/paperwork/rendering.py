"""Sheets as PDF or as pictures: a typst template of this package over plain data.  The same data gives the same bytes.

The PDF is tagged (PDF/UA-1), its fonts are embedded, and a character that no font has is printed as 〓, to be filled in by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_core.values.errors import ConfigError

if TYPE_CHECKING:
    import typst

TEMPLATES = Path(__file__).resolve().parent / "templates"
GETA = "〓"
"""What printers have always put where they lack a character."""

MISSING_MAX = 50
_MISSING = re.compile(r'the text `"(.*)"` could not be displayed', re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


def pdf(template: str, data: Mapping[str, Any]) -> bytes:
    """The sheets of one template.  Raises: ConfigError where the extra ``papers`` is missing."""
    pages = _compiled(template, data, "pdf")
    assert isinstance(pages, bytes)
    return pages


def pictures(template: str, data: Mapping[str, Any], pixels_per_inch: float = 72.0) -> list[bytes]:
    """The same sheets as PNG, one a page."""
    pages = _compiled(template, data, "png", pixels_per_inch)
    return [pages] if isinstance(pages, bytes) else list(pages)


def refuse_unready() -> None:
    """Before a visit is held for papers: that they can be printed at all.  Raises: ConfigError."""
    _compiler()
    qr_picture("ready")


def qr_picture(text: str) -> str:
    """A QR code as SVG."""
    try:
        import segno
    except ImportError as error:
        raise _extra_missing() from error
    return segno.make(text, error="m", micro=False, boost_error=False).svg_inline(border=2, omitsize=True)


def _compiled(template: str, data: Mapping[str, Any], form: str, ppi: float | None = None) -> Any:
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    try:
        import typst
    except ImportError as error:
        raise _extra_missing() from error
    for _ in range(MISSING_MAX):
        try:
            # strict also for pictures: only so is a missing character found at all
            made = _compiler().compile(
                str(TEMPLATES / f"{template}.typ"),
                format="pdf",
                pdf_standards="ua-1",
                timestamp=0,
                sys_inputs={"data": text},
            )
        except typst.TypstError as error:
            without = _without(text, str(error))
            if without == text:
                raise
            text = without
            continue
        if form == "pdf":
            return made
        return _compiler().compile(str(TEMPLATES / f"{template}.typ"), format="png", ppi=ppi, sys_inputs={"data": text})
    raise ConfigError("the font lacks too many characters of this document")


def _without(text: str, complaint: str) -> str:
    """The document with the characters the font lacks replaced."""
    found = _MISSING.search(complaint)
    if found is None:
        return text
    lacking = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), found[1])
    for character in lacking:
        if not character.isascii():
            text = text.replace(character, GETA)
    return text


@cache
def _compiler() -> typst.Compiler:
    """One for the process: it keeps the fonts, which are most of the first sheet's time."""
    try:
        import typst
        from pylopdf_fonts_zh_cn import sans_path
    except ImportError as error:
        raise _extra_missing() from error
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(sans_path().parent)])
    return typst.Compiler(root=str(TEMPLATES), font_paths=fonts)


def _extra_missing() -> ConfigError:
    return ConfigError("papers need the extra `papers`: pip install 'his-adapter[papers]'")
