"""Codecs: what is read is what was meant, whatever way it was spelt, and every departure is told where it is."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_core.standard import Field, Node, all_infnos, codec, dictionary, transaction
from adapter_core.standard.spellings import spellings
from adapter_core.values.errors import TranslationError

PER_SIDE = settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SIDES = [(infno, side) for infno in all_infnos() for side in ("input", "output")]
LETTERS = string.ascii_letters + string.digits + '测试甲乙丙，（）𠮷\\"/<&'


def value_of(field: Field, chance: random.Random) -> str | Decimal:
    """A right value of a field, by its type, length, places and dictionary, often at the edge of what fits."""
    if field.type == "date":
        return f"{chance.randint(1900, 2099)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    if field.type == "datetime":
        return f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02} {chance.randint(0, 23):02}:59:{chance.randint(0, 59):02}"
    if field.type == "number":
        places = 2 if field.places is None else field.places
        largest = 10 ** (12 if field.length is None else field.length) - 1
        count = chance.choice([0, 1, largest, -largest, chance.randint(-largest, largest)])
        return Decimal(f"{count}e-{places}")
    known = dictionary(field.code) if field.dictionary else None
    if known:
        return chance.choice([*known.values, *known.local_values])
    longest = min(field.length or 20, 60)
    return "".join(chance.choices(LETTERS, k=chance.choice([1, longest, chance.randint(1, longest)])))


def record_of(node: Node, chance: random.Random, *, everything: bool) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for field in node.fields:
        if everything or field.required or chance.random() < 0.5:
            record[field.canonical] = value_of(field, chance)
    if chance.random() < 0.5:
        record["local_extra"] = chance.choice(["own", Decimal("1.10"), 7, None, "", True, {"deep": [Decimal("0.3")]}])
    return record


def nodes_of(infno: str, side: str, chance: random.Random, *, everything: bool = False) -> dict[str, Any]:
    """A right canonical tree of one side."""
    nodes: dict[str, Any] = {}
    for node in transaction(infno).nodes(side):
        outer, _, inner = node.name.partition(".")
        rows = [record_of(node, chance, everything=everything) for _ in range(chance.randint(1, 3))]
        value: Any = rows if node.repeat else rows[0]
        if not inner:
            nodes[node.name] = value
        else:
            for around in nodes[outer] if isinstance(nodes[outer], list) else [nodes[outer]]:
                around[inner] = deepcopy(value)
    if chance.random() < 0.5:
        nodes["local_node"] = {"x": None, "rows": [{"amount": Decimal("1.20")}]}
    return nodes


def every_value(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for inner in tree.values():
            yield from every_value(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from every_value(inner)
    else:
        yield tree


@pytest.mark.parametrize(("infno", "side"), SIDES)
@PER_SIDE
@given(seed=st.integers(0, 2**32), spelling=st.sampled_from(["table", "canonical", {"exp_content": "exp_content"}]))
def test_what_is_written_reads_back_the_same(infno: str, side: str, seed: int, spelling: Any) -> None:
    nodes = nodes_of(infno, side, random.Random(seed), everything=seed % 2 == 0)
    kept = deepcopy(nodes)
    wire = codec(infno).write(side, nodes, spelling)
    read = codec(infno).read_input(wire) if side == "input" else codec(infno).read_output(wire)
    assert read.faults == ()
    assert read.warnings == ()
    assert read.nodes == kept == nodes
    assert not any(isinstance(value, float) for value in every_value([wire, read.nodes]))
    assert codec(infno).write(side, read.nodes, spelling) == wire


@pytest.mark.parametrize("infno", [infno for infno in all_infnos() if transaction(infno).input])
def test_every_number_keeps_the_places_of_its_field_however_it_came(infno: str) -> None:
    for node in transaction(infno).input:
        for field in node.fields:
            if "." in node.name or field.type != "number" or field.places is None or field.length == field.places:
                continue
            for came in (1, Decimal("1"), Decimal("1.0"), "1", " 1.0 ", Decimal("0.1E+1")):
                tree = {node.name: [{field.code: came}] if node.repeat else {field.code: came}}
                read = codec(infno).read_input(tree).nodes[node.name]
                number = (read[0] if node.repeat else read)[field.canonical]
                assert str(number) == f"{1:.{field.places}f}"


def right_input(infno: str, **changes: Any) -> dict[str, Any]:
    """A right input of one node, with some fields changed."""
    nodes = nodes_of(infno, "input", random.Random(7), everything=True)
    nodes.pop("local_node", None)
    name = transaction(infno).input[0].name
    record = nodes[name][0] if isinstance(nodes[name], list) else nodes[name]
    record.update(changes)
    return {name: [record] if isinstance(nodes[name], list) else record}


@pytest.mark.parametrize(
    ("field", "value", "expected", "title"),
    [
        ("feedetl_sn", "流" * 31, "不超过 30 个字符", "费用明细流水号"),
        ("feedetl_sn", True, "字符串", "费用明细流水号"),
        ("feedetl_sn", {"a": "b"}, "字符串", "费用明细流水号"),
        ("feedetl_sn", None, "必填", "费用明细流水号"),
        ("feedetl_sn", "  ", "必填", "费用明细流水号"),
        ("pric", "12.3元", "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", Decimal("1.2345678"), "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", Decimal("12345678901"), "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", Decimal("NaN"), "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", Decimal("1E+999"), "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", "1_000", "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", "１２", "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", 12.5, "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", True, "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("pric", [], "数字，整数不超过 10 位、小数不超过 6 位", "单价"),
        ("fee_ocur_time", "2026-11-21", "日期时间 yyyy-MM-dd HH:mm:ss", "费用发生时间"),
        ("fee_ocur_time", "2026-02-30 10:00:00", "日期时间 yyyy-MM-dd HH:mm:ss", "费用发生时间"),
        ("fee_ocur_time", "2026-11-21T10:00:00", "日期时间 yyyy-MM-dd HH:mm:ss", "费用发生时间"),
        ("fee_ocur_time", "2026-11-21 10:00:00+08:00", "日期时间 yyyy-MM-dd HH:mm:ss", "费用发生时间"),
        ("fee_ocur_time", 1795222801000, "日期时间 yyyy-MM-dd HH:mm:ss", "费用发生时间"),
    ],
)  # fmt: skip
def test_each_departure_of_an_input_is_a_fault_with_its_path(field: str, value: Any, expected: str, title: str) -> None:
    tree = right_input("2204")
    tree["feedetail"] = [deepcopy(tree["feedetail"][0]) for _ in range(4)]
    tree["feedetail"][3][field] = value
    read = codec("2204").read_input(tree)
    assert [(fault.path, fault.expected, fault.title) for fault in read.faults] == [
        (f"input.feedetail[3].{field}", expected, title)
    ]


def test_all_faults_of_a_message_are_told_at_once() -> None:
    tree = right_input("2204", pric="x", cnt=True, fee_ocur_time="yesterday", feedetl_sn="")
    tree["feedetail"].append({"pric": Decimal("-1")})
    told = {fault.path for fault in codec("2204").read_input(tree).faults}
    assert {f"input.feedetail[0].{code}" for code in ("pric", "cnt", "fee_ocur_time", "feedetl_sn")} < told
    table = transaction("2204").node("input", "feedetail")
    assert table is not None
    required = {field.code for field in table.fields if field.required and not field.required_disputed}
    assert {f"input.feedetail[1].{code}" for code in required - {"pric"}} < told


def test_a_fault_never_shows_a_whole_personal_value() -> None:
    number = "11010119000101000X"
    read = codec("2207").read_input(right_input("2207", psn_no=number * 2, medfee_sumamt=number, med_type=number))
    assert len(read.faults) == 3
    as_number = codec("2207").read_input(right_input("2207", medfee_sumamt=Decimal("110101190001010000")))
    assert len(as_number.faults) == 1
    text = "".join(map(str, read.faults + as_number.faults))
    assert "1101" not in text
    assert "000000000000000000" in text


@pytest.mark.parametrize(
    ("code", "value", "fault"),
    [
        ("mdtrt_cert_type", "02", False),
        ("mdtrt_cert_type", "08", False),  # provinces extend this one
        ("insutype", "310", False),
        ("insutype", "999", True),  # cross-checked
        ("med_type", "140104", False),  # local
        ("med_type", "78", True),
        ("acct_used_flag", "7", False),  # one source: the list may be incomplete
    ],
)
def test_an_unknown_code_is_a_fault_only_where_the_list_can_be_trusted(code: str, value: str, fault: bool) -> None:
    read = codec("2207").read_input(right_input("2207", **{code: value}))
    assert [row.path for row in read.faults] == ([f"input.data.{code}"] if fault else [])
    known = dictionary(code)
    assert known is not None
    assert bool(read.faults or read.warnings) == (known.standing(value) != "known")
    assert read.nodes["data"][code] == value


def test_what_the_sources_dispute_is_a_warning() -> None:
    absent = {"fulamt_ownpay_amt": None, "overlmt_selfpay": None, "preselfpay_amt": "", "inscp_scp_amt": None}
    read = codec("2303").read_input(right_input("2303", **absent))
    assert read.faults == ()
    assert [row.path for row in read.warnings] == [f"input.data.{code}" for code in absent]
    reversal = codec("2601").read_input(right_input("2601", oinfno="2304A"))
    assert reversal.faults == ()
    assert [row.path for row in reversal.warnings] == ["input.data.oinfno"]


def test_a_json_number_in_a_text_field_is_read_by_its_digits_and_told() -> None:
    read = codec("2207").read_input(right_input("2207", insutype=310, psn_no=Decimal("3.6E+3")))
    assert read.faults == ()
    assert (read.nodes["data"]["insutype"], read.nodes["data"]["psn_no"]) == ("310", "3600")
    assert {row.path for row in read.warnings} == {"input.data.insutype", "input.data.psn_no"}


@pytest.mark.parametrize("tree", [None, {}, "", {"data": None}, {"data": {}}, {"data": ""}])
def test_an_input_without_its_node_is_one_fault(tree: Any) -> None:
    faults = codec("2207").read_input(tree).faults
    if tree == {"data": {}}:
        assert len(faults) > 5
    else:
        assert [fault.path for fault in faults] == ["input.data"]


def test_wrong_shapes_are_one_fault_each() -> None:
    assert [f.path for f in codec("2207").read_input([]).faults] == ["input"]
    assert [f.path for f in codec("2207").read_input({"data": [right_input("2207")["data"]]}).faults] == ["input.data"]
    row = right_input("2204")["feedetail"][0]
    assert [f.path for f in codec("2204").read_input({"feedetail": row}).faults] == ["input.feedetail"]
    assert [f.path for f in codec("2204").read_input({"feedetail": []}).faults] == ["input.feedetail"]
    assert [f.path for f in codec("2204").read_input({"feedetail": [row, "x"]}).faults] == ["input.feedetail[1]"]


def test_a_further_list_may_be_absent_but_is_told() -> None:
    visit = right_input("2203A")
    read = codec("2203A").read_input(visit)
    assert read.faults == ()
    assert [row.path for row in read.warnings] == ["input.diseinfo"]


def test_no_departure_of_an_output_but_a_wrong_node_is_a_fault() -> None:
    right = nodes_of("2207", "output", random.Random(3), everything=True)
    setlinfo = {
        **right["setlinfo"],
        "setl_id": None, "psn_name": "甲" * 99, "insutype": "?", "setl_time": "20261121", "balc": "x",
        "acct_pay": Decimal("1.005"), "hifp_pay": Decimal("1E+20"), "psn_part_amt": True, "gend": [],
    }  # fmt: skip
    read = codec("2207").read_output({**right, "setlinfo": setlinfo})
    assert read.faults == ()
    assert {row.path.removeprefix("output.setlinfo.") for row in read.warnings} == {
        "setl_id", "psn_name", "insutype", "setl_time", "balc", "acct_pay", "hifp_pay", "psn_part_amt", "gend",
    }  # fmt: skip
    kept = read.nodes["setlinfo"]
    assert (kept["psn_name"], kept["setl_time"], kept["insutype"]) == ("甲" * 99, "20261121", "?")
    assert (kept["acct_pay"], kept["hifp_pay"]) == (Decimal("1.005"), Decimal("1E+20"))
    assert not {"setl_id", "balc", "psn_part_amt", "gend"} & kept.keys()
    for wrong in ([setlinfo], "x", 3):
        assert [f.path for f in codec("2207").read_output({"setlinfo": wrong}).faults] == ["output.setlinfo"]


def test_an_absent_output_is_a_warning() -> None:
    for tree in (None, {}, {"setlinfo": None}, ""):
        read = codec("2207").read_output(tree)
        assert (read.nodes, read.faults) == ({}, ())
        assert [row.path for row in read.warnings] == ["output.setlinfo"]


def test_one_row_for_a_list_and_rows_of_a_paged_answer_are_read() -> None:
    row = nodes_of("2207", "output", random.Random(3))["setldetail"][0]
    read = codec("2207").read_output(
        {"setlinfo": nodes_of("2207", "output", random.Random(4))["setlinfo"], "setldetail": row}
    )
    assert (read.faults, read.nodes["setldetail"]) == ((), [row])
    page = nodes_of("1312", "output", random.Random(5))["data"]
    listed = codec("1312").read_output({"data": [page, page]})
    assert (listed.faults, listed.nodes["data"]) == ((), [page, page])
    sale = right_input("3505")
    sale["selinfo"]["drugtracinfo"] = [{"drug_trac_codg": "T1"}, {"drug_trac_codg": "T2"}]
    traced = codec("3505").read_input(sale)
    assert traced.faults == ()
    assert traced.nodes["selinfo"]["drugtracinfo"] == sale["selinfo"]["drugtracinfo"]
    assert codec("3505").write("input", traced.nodes) == codec("3505").write("input", sale)


@pytest.mark.parametrize("canonical", sorted(spellings()))
def test_every_spelling_reads_as_one_field_wherever_a_table_has_it(canonical: str) -> None:
    met = 0
    for infno in all_infnos():
        for side in ("input", "output"):
            for node in transaction(infno).nodes(side):
                field = node.field(canonical)
                if field is None or "." in node.name:
                    continue
                met += 1
                value = value_of(field, random.Random(1))
                for spelling in spellings()[canonical]:
                    record = {spelling: value}
                    tree = {node.name: [record] if node.repeat else record}
                    read = (codec(infno).read_input if side == "input" else codec(infno).read_output)(tree)
                    got = read.nodes[node.name][0] if node.repeat else read.nodes[node.name]
                    assert got == {canonical: value}
                    told = {row.path.rpartition(".")[2] for row in read.faults + read.warnings}
                    assert not told & set(spellings()[canonical])
    assert met


def test_2208_takes_either_cash_field_and_tells_when_they_differ() -> None:
    right = nodes_of("2208", "output", random.Random(2), everything=True)
    right["setlinfo"]["psn_cash_pay"] = Decimal("26.20")
    written = codec("2208").write("output", right)["setlinfo"]
    assert (written["psn_cash_pay"], written["pdn_cash_pay"]) == (Decimal("26.20"), Decimal("26.20"))
    for only in ("psn_cash_pay", "pdn_cash_pay"):
        record = {code: value for code, value in written.items() if code != only}
        read = codec("2208").read_output({**right, "setlinfo": record})
        assert (read.faults, read.warnings) == ((), ())
        assert read.nodes["setlinfo"]["psn_cash_pay"] == Decimal("26.20")
        assert "pdn_cash_pay" not in read.nodes["setlinfo"]
    differing = codec("2208").read_output({**right, "setlinfo": {**written, "pdn_cash_pay": Decimal("1")}})
    assert [row.path for row in differing.warnings] == ["output.setlinfo.pdn_cash_pay"]
    assert differing.nodes["setlinfo"]["psn_cash_pay"] == Decimal("26.20")
    neither = {code: value for code, value in written.items() if "cash_pay" not in code}
    assert len(codec("2208").read_output({**right, "setlinfo": neither}).warnings) == 1
    assert "pdn_cash_pay" not in codec("2208").write("output", right, "canonical")["setlinfo"]


def test_the_gateway_chooses_the_spelling_it_writes() -> None:
    nodes = right_input("2207", exp_content='{"a":1}')
    write = codec("2207").write
    assert "expContent" in write("input", nodes)["data"]
    assert "exp_content" in write("input", nodes, "canonical")["data"]
    assert "exp_content" in write("input", nodes, {"exp_content": "exp_content"})["data"]
    with pytest.raises(ValueError, match="no known spelling"):
        write("input", nodes, {"exp_content": "psn_no"})
    with pytest.raises(ValueError, match="spelling is"):
        write("input", nodes, "camel")


def test_extension_content_keeps_whatever_shape_it_has() -> None:
    nodes = right_input("2207", exp_content={"card_token": "t", "n": Decimal("1.10")})
    read = codec("2207").read_input(codec("2207").write("input", nodes))
    assert (read.faults, read.nodes) == ((), nodes)
    assert [row.path for row in read.warnings] == ["input.data.expContent"]


def test_absent_values_are_absent_keys_both_ways() -> None:
    tree = right_input("2207", invono="", expContent=None, exp_content="  ")
    read = codec("2207").read_input(tree)
    assert not {"invono", "exp_content", "expContent"} & read.nodes["data"].keys()
    assert "invono" not in codec("2207").write("input", {"data": {"invono": "", "psn_no": None}})["data"]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"medfee_sumamt": Decimal("1.005")}, "input.data.medfee_sumamt"),
        ({"medfee_sumamt": 1.5}, "input.data.medfee_sumamt"),
        ({"psn_no": 1.5}, "input.data.psn_no"),
        ({"psn_no": True}, "input.data.psn_no"),
        ({"own": {"rows": [Decimal("1"), 1.5]}}, "input.data.own.rows[1]"),
        ([{}], "input.data"),
        ("x", "input.data"),
    ],
)
def test_nothing_inexact_or_misshapen_is_written(record: Any, path: str) -> None:
    with pytest.raises(TranslationError) as raised:
        codec("2207").write("input", {"data": record})
    assert [fault.path for fault in raised.value.faults] == [path]


def test_amounts_are_written_plainly_with_two_places() -> None:
    written = codec("2207").write("input", {"data": {"medfee_sumamt": Decimal("1E+2"), "inscp_scp_amt": Decimal("3")}})
    assert {code: str(value) for code, value in written["data"].items()} == {
        "medfee_sumamt": "100.00", "inscp_scp_amt": "3.00",
    }  # fmt: skip


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=8)
    | st.sampled_from([10**400, Decimal("-0E+9999"), "9" * 5000])
)
CODES = st.sampled_from(["data", "setlinfo", "setldetail", "selinfo", "drugtracinfo", "psn_no", "medfee_sumamt", "exp_content",
                         "expContent", "psn_cash_pay", "pdn_cash_pay", "setl_time", "cnt", "own"])  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CODES, inner, max_size=5), max_leaves=12
)


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREES, infno=st.sampled_from(["2207", "2208", "3505", "5101", "1312"]))
def test_any_tree_is_read_or_told_and_a_number_field_is_a_decimal_or_absent(tree: Any, infno: str) -> None:
    for side, read in (("input", codec(infno).read_input(tree)), ("output", codec(infno).read_output(tree))):
        assert all(str(told) for told in read.faults + read.warnings)
        for node in transaction(infno).nodes(side):
            record = read.nodes.get(node.name)
            for field in node.fields if isinstance(record, dict) else ():
                value = record.get(field.canonical)
                if field.type == "number":
                    assert value is None or (isinstance(value, Decimal) and value.is_finite())
                elif not field.free_form:
                    assert value is None or isinstance(value, str)
