"""What a person is shown of others' texts."""

from __future__ import annotations

import pytest

from adapter_core.values.texts import SHOWN_MAX, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("余额不足", "余额不足"),
        ("一\r\n二\t三\x1b[31m", "一  二 三 [31m"),
        ("\u202e反\u200b向\u2028行\x00", "反 向 行"),
        ("𠮷", "𠮷"),
        ("", ""),
        ("长" * SHOWN_MAX, "长" * SHOWN_MAX),
        ("长" * (SHOWN_MAX + 1), "长" * (SHOWN_MAX - 1) + "…"),
    ],
)
def test_a_text_is_shown_as_one_line(text: str, line: str) -> None:
    assert shown(text) == line
