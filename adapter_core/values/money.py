"""Money: Decimal from text to ledger, whole fen in the database, never a float."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

CENT = Decimal("0.01")
YUAN_DIGITS_MAX = 16
"""Total digits of an amount: the national standard prints amounts as number(16,2)."""


class MoneyError(ValueError):
    """The value is no exact CNY amount.  What came is in the message, shortened."""


_STEPS = tuple(Decimal(1).scaleb(-places) for places in range(9))
"""One unit of each scale, made once: a settlement of ten lines asks for it a hundred times."""


def yuan(value: str | Decimal | int) -> Decimal:
    """A CNY amount with exactly two places, e.g. ``yuan("186.5") == Decimal("186.50")``.

    Raises: MoneyError for a float, a bool, None, NaN, infinity, more than two places or more than 16 digits.
    """
    return number(value, YUAN_DIGITS_MAX, 2)


def number(value: str | Decimal | int, digits: int, places: int) -> Decimal:
    """An exact decimal of at most ``digits`` digits, ``places`` of them after the point; nothing is rounded.

    Raises: MoneyError.
    """
    if isinstance(value, bool) or not isinstance(value, (str, Decimal, int)):
        raise MoneyError(f"not a decimal text: {type(value).__name__}")
    try:
        exact = Decimal(value)
    except InvalidOperation:
        raise MoneyError(f"not a number: {str(value)[:40]!r}") from None
    if not exact.is_finite():
        raise MoneyError("not a finite number")
    if exact.adjusted() >= digits - places:
        raise MoneyError(f"more than {digits - places} digits before the point")
    step = _STEPS[places] if 0 <= places < len(_STEPS) else Decimal(1).scaleb(-places)
    scaled = exact.quantize(step, rounding=ROUND_HALF_UP)
    if scaled != exact:
        raise MoneyError(f"more than {places} places: {str(value)[:40]}")
    return scaled


def fen(amount: Decimal) -> int:
    """Whole fen of an amount in yuan.  Raises: MoneyError when it has more than two places."""
    if type(amount) is Decimal and amount.same_quantum(CENT) and amount.adjusted() < YUAN_DIGITS_MAX - 2:
        return int(amount * 100)  # nearly all: exactly two places, and no more digits than there may be
    return int(yuan(amount) * 100)


def from_fen(count: int) -> Decimal:
    """The amount in yuan, two places."""
    return Decimal(count).scaleb(-2)
