"""Amounts in Chinese capitals (大写金额), as receipts carry them."""

from __future__ import annotations

from decimal import Decimal

from adapter_core.values.errors import ConfigError
from adapter_core.values.money import yuan


def in_capitals(amount: Decimal) -> str:
    """``186.50`` → ``壹佰捌拾陆元伍角整``; a negative amount begins with 负.  Raises: MoneyError; ConfigError without cn2an."""
    try:
        from cn2an import an2cn
    except ImportError as error:
        raise ConfigError("amounts in capitals need the extra `papers`: pip install 'his-adapter[papers]'") from error
    exact = yuan(amount)
    words = an2cn(format(abs(exact), "f"), "rmb")
    # cn2an ends 角 without 整, which the rules for vouchers ask for
    words += "整" if words.endswith("角") else ""
    return f"负{words}" if exact < 0 else str(words)
