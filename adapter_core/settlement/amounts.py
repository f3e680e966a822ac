"""The amounts of a settlement and the identities they must keep, to the fen (`reliability.md` I13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from adapter_core.values.money import CENT, MoneyError, fen

ZERO = Decimal("0.00")


class Amounts(Struct, frozen=True):
    """CNY, two places.  shared_account: 个人账户共济 (``acct_mulaid_pay``)."""

    total: Decimal
    fund: Decimal
    account: Decimal
    shared_account: Decimal
    cash: Decimal
    hospital: Decimal

    def as_fen(self) -> dict[str, int]:
        return {
            "total_fen": fen(self.total),
            "fund_fen": fen(self.fund),
            "account_fen": fen(self.account + self.shared_account),
            "cash_fen": fen(self.cash),
        }


def total_of(fees: Sequence[Mapping[str, Any]]) -> Decimal:
    """What a bill's lines come to."""
    return sum((Decimal(row.get("det_item_fee_sumamt", 0)) for row in fees), Decimal(0)).quantize(CENT)


_TERMS = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "acct_mulaid_pay", "psn_cash_pay", "hosp_part_amt")
"""In the order of the fields of `Amounts`."""


def amounts(result: Mapping[str, Any]) -> Amounts:
    """The amounts of a ``result`` section; missing terms are 0."""

    said = [result.get(name, ZERO) for name in _TERMS]
    return Amounts(*[value if type(value) is Decimal else Decimal(value) for value in said])


def broken_identities(result: Mapping[str, Any], shared_account_outside: bool = False) -> list[str]:
    """The identities a result breaks, in words; empty when all hold.

    ``medfee_sumamt = fund_pay_sumamt + psn_part_amt + hosp_part_amt`` and ``psn_part_amt = acct_pay + psn_cash_pay`` (plus
    ``acct_mulaid_pay`` where the gateway says it is not inside ``acct_pay``).  A missing ``psn_part_amt`` is taken as its own sum.
    """
    if "medfee_sumamt" not in result:
        return ["medfee_sumamt is missing"]
    told = amounts(result)
    try:
        told.as_fen()
    except MoneyError as error:
        return [str(error)]
    own = told.account + told.cash + (told.shared_account if shared_account_outside else ZERO)
    part = Decimal(result.get("psn_part_amt", own))
    faults = []
    if part != own:
        faults.append(f"psn_part_amt {part} != account + cash {own}")
    if told.total != told.fund + part + told.hospital:
        faults.append(f"medfee_sumamt {told.total} != fund + person + hospital {told.fund + part + told.hospital}")
    return faults
