"""Strategies made from a table: what a message can say, bytes that may come, settlements that add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from adapter_core.formats.tables.spec import MessageSide, Record, Row, Target
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.money import from_fen

Draw = Callable[[st.SearchStrategy[Any]], Any]
_LETTERS = "测试甲乙丙丁内科药片ABCDEFabcxyz0123456789"
_FEN = st.integers(0, 9_999_999)


def sayable(dialect: TableDialect, message: str, side: str) -> st.SearchStrategy[dict[str, Any]]:
    """Sections within what one message side can say: any place may be absent unless its row must be there."""
    spec = dialect.table.spec
    shape: MessageSide = spec.messages[message].ask if side == "ask" else spec.messages[message].tell
    envelope = spec.envelope["ask" if side == "ask" else "tell"]

    @st.composite
    def build(draw: Draw) -> dict[str, Any]:
        sections: dict[str, Any] = {}
        for record in shape.rows:
            sections[record.into] = [{} for _ in range(draw(st.integers(max(shape.rows_least, 1), 3)))]
        for record in (envelope, *shape.head):
            _fill(draw, record, sections, None)
        for record in shape.rows:
            for element in sections[record.into]:
                _fill(draw, record, sections, element)
        _settle_derived(shape.head, sections)
        return sections

    return build()


def settlements() -> st.SearchStrategy[dict[str, Decimal]]:
    """Amounts of a settlement for which I13 holds, with zeros, parts and a shared account now and then."""

    @st.composite
    def build(draw: Draw) -> dict[str, Decimal]:
        rare = st.one_of(st.just(0), st.just(0), _FEN)
        funds = {
            name: draw(rare) for name in ["hifmi_pay", "hifob_pay", "cvlserv_pay", "hifes_pay", "maf_pay", "oth_pay"]
        }
        funds["hifp_pay"] = draw(_FEN)
        account, cash, hospital = draw(rare), draw(_FEN), draw(rare)
        shared = draw(st.one_of(st.just(0), st.just(0), st.just(0), st.integers(0, account)))
        fund = sum(funds.values())
        amounts = {
            **funds,
            "fund_pay_sumamt": fund,
            "acct_pay": account,
            "acct_mulaid_pay": shared,
            "psn_cash_pay": cash,
            "psn_part_amt": account + cash,
            "hosp_part_amt": hospital,
            "medfee_sumamt": fund + account + cash + hospital,
            "balc": draw(_FEN),
        }
        return {name: from_fen(amount) for name, amount in amounts.items()}

    return build()


def hostile(texts: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, and samples cut, repeated or with a few bytes changed."""

    @st.composite
    def damaged(draw: Draw) -> bytes:
        raw = bytearray(draw(st.sampled_from(list(texts))))
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, max(len(raw) - 1, 0)))
            kind = draw(st.sampled_from(["cut", "put", "drop", "double"]))
            if kind == "cut":
                del raw[at:]
            elif kind == "put":
                raw[at : at + 1] = draw(
                    st.binary(max_size=3) | st.sampled_from([b"|", b"^", b"$", b";", b"<", b"\x00", b"9e9"])
                )
            elif kind == "drop":
                del raw[at : at + draw(st.integers(1, 8))]
            else:
                raw[at:at] = raw[at : at + draw(st.integers(1, 40))]
        return bytes(raw)

    return st.one_of(damaged(), damaged(), st.binary(max_size=200))


def _fill(draw: Draw, record: Record, sections: dict[str, Any], element: dict[str, Any] | None) -> None:
    texts: dict[Any, str] = {}
    for row in record.rows:
        if row.meaning in ("kept", "constant"):
            continue
        if any(texts.get(place, "") not in wanted for place, wanted in row.when):
            continue
        value = None
        for target in row.targets:
            value = _say(draw, row, target, sections, element, value)
        if value is not None and row.meaning in ("one", "all"):
            texts[row.places[0]] = row.how.write(value)


def _say(
    draw: Draw, row: Row, target: Target, sections: dict[str, Any], element: dict[str, Any] | None, value: Any
) -> Any:
    """Put a value where the target is, unless an earlier row has; a second target of ``all`` takes the first's value."""
    if target.section == "asked" or (target.section == "x" and element is not None):
        return None
    homes = _homes(target, sections, element)
    for home in homes:
        if target.field in home:
            return home[target.field]
    if value is None or row.meaning == "sum":
        if not row.must and draw(st.integers(0, 3)) == 0:
            return None
        value = draw(_values(row))
    for home in homes:
        home[target.field] = value
    return value


def _homes(target: Target, sections: dict[str, Any], element: dict[str, Any] | None) -> list[dict[str, Any]]:
    if not target.section:
        assert element is not None
        return [element]
    if target.spread:
        return list(sections.get(target.section, []))
    if target.index is not None:
        elements = sections.setdefault(target.section, [{}])
        return [elements[target.index]]
    return [sections.setdefault(target.section, {})]


def _values(row: Row) -> st.SearchStrategy[Any]:
    how = row.how
    if how.kind in ("code", "pair") and how.codes:
        return st.sampled_from(sorted(set(how.codes.values()) - {how.codes.get(text, "") for text in row.absent}))
    if how.kind == "yuan":
        return _FEN.map(from_fen)
    if how.kind in ("decimal", "plain"):
        return st.integers(0, 999_999).map(lambda count: Decimal(count).scaleb(-min(how.places, 4)))
    if how.kind == "number":
        return st.integers(0, 99).map(Decimal)
    if how.kind == "date":
        return st.dates().filter(lambda day: day.year > 999).map(str)
    if how.kind == "time":
        return st.datetimes().filter(lambda at: at.year > 999).map(lambda at: at.isoformat(sep=" ", timespec="seconds"))
    return st.text(_LETTERS, min_size=1, max_size=12).filter(lambda text: text not in row.absent)


def _settle_derived(records: Sequence[Record], sections: dict[str, Any]) -> None:
    for record in records:
        for derived in record.derived:
            terms = [(sign, sections.get(target.section, {}).get(target.field)) for sign, target in derived.terms]
            if any(value is not None for _, value in terms):
                total = sum((sign * value for sign, value in terms if value is not None), Decimal(0))
                sections.setdefault(derived.target.section, {})[derived.target.field] = total
