"""Benefits of the place of insurance: one bill and the year's counters in, one explained split out.  Pure.

The rules (``data/benefits.toml``) are invented for rehearsals.  The adapter itself never computes a benefit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from adapter_core.simulator.catalogue import CLASS_A, CLASS_B, ZERO, Shares, half_up
from adapter_core.simulator.people import Insurance
from adapter_core.values.copies import replace


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of ``data/benefits.toml``; what each field means stands there."""

    title: str
    place: str
    insutype: str
    kind: str
    covered: bool = True
    deductible: Decimal = ZERO
    ratio: Mapping[str, Decimal] = field(default_factory=dict)
    retired_ratio: Mapping[str, Decimal] = field(default_factory=dict)
    cap: Decimal = ZERO
    account: str = "none"
    account_pays: str = "in_scope"
    second_above: Decimal = ZERO
    second_ratio: Decimal = ZERO
    civil_servant: Decimal = ZERO
    aid: Decimal = ZERO

    def share(self, chrgitm_lv: str, retired: bool) -> Decimal:
        """The fund's share of an in-scope amount of that item class."""
        table = self.retired_ratio if retired and self.retired_ratio else self.ratio
        return table.get(chrgitm_lv, ZERO)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a person has used up this year, of one insurance and kind.  Also one settlement's change of it."""

    deductible: Decimal = ZERO
    pool: Decimal = ZERO
    burden: Decimal = ZERO

    def plus(self, other: Counters) -> Counters:
        return Counters(self.deductible + other.deductible, self.pool + other.pool, self.burden + other.burden)

    def minus(self, other: Counters) -> Counters:
        return Counters(self.deductible - other.deductible, self.pool - other.pool, self.burden - other.burden)


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill's sums: ``inside`` = in-scope amount by item class."""

    medfee_sumamt: Decimal
    fulamt_ownpay_amt: Decimal
    overlmt_selfpay: Decimal
    preselfpay_amt: Decimal
    inside: Mapping[str, Decimal]

    @property
    def inscp_scp_amt(self) -> Decimal:
        return sum(self.inside.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Split:
    """Who pays what, in national codes.

    Always: medfee_sumamt = fund_pay_sumamt + psn_part_amt + hosp_part_amt; psn_part_amt = acct_pay + psn_cash_pay;
    fund_pay_sumamt = the sum of the seven funds.  ``moved``: what the settlement adds to the year's counters.
    """

    rule: Rule
    bill: Bill
    act_pay_dedc: Decimal
    pool_prop_selfpay: Decimal
    funds: Mapping[str, Decimal]
    acct_pay: Decimal
    balc: Decimal
    pool_left: Decimal
    moved: Counters
    steps: tuple[str, ...]

    @property
    def fund_pay_sumamt(self) -> Decimal:
        return sum(self.funds.values(), ZERO)

    @property
    def psn_part_amt(self) -> Decimal:
        return self.bill.medfee_sumamt - self.fund_pay_sumamt

    @property
    def psn_cash_pay(self) -> Decimal:
        return self.psn_part_amt - self.acct_pay

    def amounts(self) -> dict[str, Decimal]:
        """All amounts of ``setlinfo``."""
        funds = {name: self.funds.get(name, ZERO) for name in FUNDS}
        return {
            "medfee_sumamt": self.bill.medfee_sumamt,
            "fulamt_ownpay_amt": self.bill.fulamt_ownpay_amt,
            "overlmt_selfpay": self.bill.overlmt_selfpay,
            "preselfpay_amt": self.bill.preselfpay_amt,
            "inscp_scp_amt": self.bill.inscp_scp_amt,
            "act_pay_dedc": self.act_pay_dedc,
            "pool_prop_selfpay": self.pool_prop_selfpay,
            **funds,
            "fund_pay_sumamt": self.fund_pay_sumamt,
            "psn_part_amt": self.psn_part_amt,
            "acct_pay": self.acct_pay,
            "psn_cash_pay": self.psn_cash_pay,
            "hosp_part_amt": ZERO,
            "balc": self.balc,
            "acct_mulaid_pay": ZERO,
        }


FUNDS = ("hifp_pay", "cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "maf_pay", "oth_pay")


class Benefits:
    """The rules of all places."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._rules = sorted(map(_rule, table["rule"]), key=lambda rule: (-len(rule.place), -len(rule.insutype)))
        self._kinds: dict[str, str] = {one: kind for kind, med_types in table["kinds"].items() for one in med_types}
        self.funds: Mapping[str, Mapping[str, tuple[str, str]]] = table["funds"]

    def kind(self, med_type: str) -> str:
        """``outpatient``, ``inpatient`` or ``pharmacy``; an unlisted med_type counts as outpatient."""
        return self._kinds.get(med_type, "outpatient")

    def rule(self, insuplc_admdvs: str, insutype: str, kind: str) -> Rule:
        """The most exact rule; without any, one under which the person pays everything."""
        for rule in self._rules:
            if rule.kind == kind and rule.insutype in ("", insutype) and insuplc_admdvs.startswith(rule.place):
                return rule
        return Rule("无适用待遇", insuplc_admdvs, insutype, kind, covered=False)


def bill_of(lines: Iterable[Shares]) -> Bill:
    """The bill's sums over its lines."""
    rows = list(lines)
    inside = {CLASS_A: ZERO, CLASS_B: ZERO}
    for line in rows:
        if line.inscp_scp_amt:
            inside[line.item.chrgitm_lv] += line.inscp_scp_amt
    return Bill(
        medfee_sumamt=sum((line.det_item_fee_sumamt for line in rows), ZERO),
        fulamt_ownpay_amt=sum((line.fulamt_ownpay_amt for line in rows), ZERO),
        overlmt_selfpay=sum((line.overlmt_amt for line in rows), ZERO),
        preselfpay_amt=sum((line.preselfpay_amt for line in rows), ZERO),
        inside=inside,
    )


def split(rule: Rule, bill: Bill, insurance: Insurance, used: Counters, *, account_allowed: bool, aided: bool) -> Split:
    """The bill divided by the rule.  Every fund's payment is rounded half up to the fen; the person carries the rest.

    Needs a bill with no negative class (`bill_of` of more returns than sales: the centre refuses those first).
    """
    steps = [f"规则：{rule.title}", _bill_line(bill)]
    first = _account_first(rule, bill, insurance, account_allowed, steps)
    inside = _less(bill.inside, first)
    dedc = _deductible(rule, sum(inside.values(), ZERO), used, steps)
    pooled, share = _pool(rule, _less(inside, dedc), insurance.retired, used, steps)
    funds, burden = _further_funds(rule, sum(inside.values(), ZERO) - pooled, insurance, used, aided, steps)
    funds["hifp_pay"] = pooled
    result = Split(
        rule=rule,
        bill=bill,
        act_pay_dedc=dedc,
        pool_prop_selfpay=(1 - share).quantize(Decimal("0.0001")),
        funds=funds,
        acct_pay=first,
        balc=insurance.balc - first,
        pool_left=max(rule.cap - used.pool, ZERO),
        moved=Counters(dedc, pooled, burden),
        steps=(),
    )
    after = _account_after(rule, result, account_allowed, steps)
    paid = replace(result, acct_pay=first + after, balc=result.balc - after)
    shared = f"基金 {paid.fund_pay_sumamt}，个人账户 {paid.acct_pay}，现金 {paid.psn_cash_pay}"
    steps.append(f"合计：{shared}；账户余额 {paid.balc}")
    return replace(paid, steps=tuple(steps))


def explain(told: Split) -> list[str]:
    """How the split came about, line by line, in Chinese."""
    return list(told.steps)


def _bill_line(bill: Bill) -> str:
    return (
        f"总额 {bill.medfee_sumamt}：自费 {bill.fulamt_ownpay_amt}，超限价 {bill.overlmt_selfpay}，"
        f"先行自付 {bill.preselfpay_amt}，范围内 {bill.inscp_scp_amt}"
    )


def _account_first(rule: Rule, bill: Bill, insurance: Insurance, allowed: bool, steps: list[str]) -> Decimal:
    if rule.account != "first" or not allowed:
        return ZERO
    paid = min(insurance.balc, bill.inscp_scp_amt)
    steps.append(f"个人账户先付：余额 {insurance.balc}，付 {paid}")
    return paid


def _less(inside: Mapping[str, Decimal], taken: Decimal) -> dict[str, Decimal]:
    """What is left when ``taken`` comes off, 甲类 first."""
    left = {}
    for chrgitm_lv in (CLASS_A, CLASS_B):
        off = min(taken, inside[chrgitm_lv])
        left[chrgitm_lv] = inside[chrgitm_lv] - off
        taken -= off
    return left


def _deductible(rule: Rule, inside: Decimal, used: Counters, steps: list[str]) -> Decimal:
    if not rule.covered or not rule.deductible:
        return ZERO
    paid = min(inside, max(rule.deductible - used.deductible, ZERO))
    steps.append(f"起付线：全年 {rule.deductible}，已累计 {used.deductible}，本次计入 {paid}")
    return paid


def _pool(
    rule: Rule, inside: Mapping[str, Decimal], retired: bool, used: Counters, steps: list[str]
) -> tuple[Decimal, Decimal]:
    """What the pool pays, and its share of 甲类."""
    if not rule.covered:
        steps.append("统筹：该参保地此类就诊无统筹待遇，基金支付 0.00")
        return ZERO, ZERO
    shares = {chrgitm_lv: rule.share(chrgitm_lv, retired) for chrgitm_lv in inside}
    by_ratio = half_up(sum((inside[one] * shares[one] for one in inside), ZERO))
    paid = min(by_ratio, max(rule.cap - used.pool, ZERO))
    parts = " + ".join(f"{inside[one]}×{shares[one]:.0%}" for one in inside)
    steps.append(f"统筹：{parts} = {by_ratio}；封顶 {rule.cap}，已用 {used.pool}，支付 {paid}")
    return paid, shares[CLASS_A]


def _further_funds(
    rule: Rule, burden: Decimal, insurance: Insurance, used: Counters, aided: bool, steps: list[str]
) -> tuple[dict[str, Decimal], Decimal]:
    """大病 or 大额, 公务员, 救助, each of what is left in scope; and the burden that counts for the year."""
    funds = dict.fromkeys(FUNDS, ZERO)
    left = burden
    if rule.second_ratio:
        above = max(used.burden + burden - rule.second_above, ZERO) - max(used.burden - rule.second_above, ZERO)
        paid = half_up(above * rule.second_ratio)
        name, title = ("hifmi_pay", "大病保险") if insurance.insutype == "390" else ("hifob_pay", "大额补助")
        funds[name] = paid
        left -= paid
        steps.append(f"{title}：年内负担超过 {rule.second_above} 的部分 {above}×{rule.second_ratio:.0%} = {paid}")
    if rule.civil_servant and insurance.cvlserv_flag == "1":
        funds["cvlserv_pay"] = half_up(left * rule.civil_servant)
        left -= funds["cvlserv_pay"]
        steps.append(f"公务员补助：支付 {funds['cvlserv_pay']}")
    if rule.aid and aided:
        funds["maf_pay"] = half_up(left * rule.aid)
        steps.append(f"医疗救助：{left}×{rule.aid:.0%} = {funds['maf_pay']}")
    return funds, burden


def _account_after(rule: Rule, so_far: Split, allowed: bool, steps: list[str]) -> Decimal:
    if rule.account != "after" or not allowed:
        return ZERO
    bill = so_far.bill
    payable = so_far.psn_part_amt if rule.account_pays == "all" else bill.inscp_scp_amt - so_far.fund_pay_sumamt
    paid = min(so_far.balc, payable)
    steps.append(f"个人账户：余额 {so_far.balc}，可付 {payable}，付 {paid}")
    return paid


def _rule(row: Mapping[str, Any]) -> Rule:
    second = row.get("second", {})
    return Rule(
        title=row["title"],
        place=row["place"],
        insutype=row["insutype"],
        kind=row["kind"],
        covered=row.get("covered", True),
        deductible=Decimal(row.get("deductible", "0")),
        ratio=_ratios(row.get("ratio", {})),
        retired_ratio=_ratios(row.get("retired_ratio", {})),
        cap=Decimal(row.get("cap", "0")),
        account=row["account"],
        account_pays=row.get("account_pays", "in_scope"),
        second_above=Decimal(second.get("above", "0")),
        second_ratio=Decimal(second.get("ratio", "0")),
        civil_servant=Decimal(row.get("civil_servant", "0")),
        aid=Decimal(row.get("aid", "0")),
    )


def _ratios(table: Mapping[str, str]) -> dict[str, Decimal]:
    return {chrgitm_lv: Decimal(share) for chrgitm_lv, share in table.items()}
