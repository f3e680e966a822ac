"""A legacy gateway is a dialect plus an address.  The dialect here is an invented one, so that nothing of a province hides
in the generic part."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapter_core.formats.tables import load_table
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Gateway, Site
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.messages import Call, Mark
from adapter_core.province.plan import load_route
from adapter_core.province.policy import Policy
from adapter_core.province.table_dialect import TableDialect
from adapter_core.values.errors import ContractError, TranslationError
from adapter_core.values.frames import Frame
from tests.invented_family import FRAME

MESSAGES = """
[ref.ticket]
mint = ["settle"]
pattern = "T{n:04}"
binds = "case"
[ref.original]
names = "ticket"
binds = "case"
[record.pay]
rows = [
  ["area", "就医地", "env.mdtrtarea_admvs"],
  ["hospital", "机构", "env.fixmedins_code"],
  ["visit", "就诊号", "visit.mdtrt_id", "text", { must = true }],
  ["total", "总额", "settle.medfee_sumamt", "yuan", { must = true }],
]
[record.void]
rows = [["original", "原票号", "ref.original", "text", { must = true }]]
[record.paid]
rows = [
  ["ticket", "票号", "ref.ticket"],
  ["visit", "就诊号", "result.mdtrt_id"],
  ["total", "总额", "result.medfee_sumamt", "yuan"],
]
[message.pay]
verb = "settle"
ask = { head = "pay" }
tell = { head = "paid" }
[message.void]
verb = "void"
ask = { head = "void" }
tell = { head = "paid" }
"""
TABLE = f'dialect = "invented"{FRAME}{MESSAGES}'
ROUTE = """
route = "invented"
[chain]
outpatient = ["pay"]
[goal]
outpatient = { settle = "pay" }
[step.pay]
call = "pay"
class = "N"
into = "settled"
undo = "back"
[step.back]
call = "void"
class = "N"
"""
SITE = Site("H00000000001", "测试医院一", "360100")
MOMENT = datetime(2026, 11, 21, 16, 0, 1, tzinfo=UTC)
CONTENT: dict[str, Any] = {
    "env": {"mdtrtarea_admvs": "999999", "opter": "T001"},
    "visit": {"mdtrt_id": "M1"},
    "settle": {"medfee_sumamt": Decimal("186.50")},
}
PAY = Call("pay", "pay", "N", CONTENT, "m1")
PAID = b"<tell><code>0</code><ticket>T0007</ticket><visit>M1</visit><total>186.50</total></tell>"


def gateway(route: str = ROUTE, **changes: Any) -> LegacyGateway:
    dialect = TableDialect(load_table(TABLE, "invented.toml"))
    arguments = {"path": "/pay", "echoes": [("visit.mdtrt_id", "result.mdtrt_id")], **changes}
    return LegacyGateway("invented", SITE, dialect, load_route(route), Policy(), Capabilities(), **arguments)


def test_it_is_a_gateway() -> None:
    assert isinstance(gateway(), Gateway)


def test_a_call_goes_out_as_the_dialects_request_to_the_gateways_path_for_this_institution() -> None:
    frame = gateway().encode(PAY, MOMENT)
    assert frame.path == "/pay"
    # the place of care is the site's, whatever a HIS claimed
    assert frame.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?><ask><area>360100</area><hospital>H00000000001</hospital>'
        "<visit>M1</visit><total>186.50</total><no>pay</no></ask>"
    )


def test_all_faults_of_a_call_are_told_before_it_is_made() -> None:
    empty = replace(PAY, content={})
    assert [fault.path for fault in gateway().faults(empty)] == ["visit", "total"]
    assert gateway().faults(PAY) == ()
    with pytest.raises(TranslationError):
        gateway().encode(empty, MOMENT)


def test_a_reversal_names_the_reference_that_the_settlement_brought() -> None:
    one = gateway()
    reply = one.decode(PAY, Frame(body=PAID, status=200))
    assert (reply.mark, reply.refs) == (Mark.OK, {"ticket": "T0007"})
    back = Call("back", "void", "N", {**CONTENT, "settled": reply.content["result"]}, "m2")
    assert b"<original>T0007</original>" in one.encode(back, MOMENT).body


def test_a_calls_own_reference_wins_over_the_filed_one() -> None:
    filed = {**CONTENT, "settled": {"refs": {"ticket": "T0007"}}}
    back = Call("back", "void", "N", filed, "m2", refs={"ticket": "T0008"})
    assert b"<original>T0008</original>" in gateway().encode(back, MOMENT).body


@pytest.mark.parametrize(
    ("body", "status", "mark"),
    [
        (PAID, None, Mark.OK),
        (PAID, 500, Mark.UNREADABLE),
        (b"<tell><code>1</code><text>no</text></tell>", 200, Mark.REFUSED),
        (b"<tell><code>1</code><text>no</text></tell>", 500, Mark.REFUSED),
        (b"<html>", 200, Mark.UNREADABLE),
    ],
)
def test_a_reply_is_read_by_the_dialects_rule_and_a_success_needs_a_good_status(
    body: bytes, status: int | None, mark: Mark
) -> None:
    assert gateway().decode(PAY, Frame(body=body, status=status)).mark is mark


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [(b"M1", b"M1", ()), (b"M1", b"M2", ("visit.mdtrt_id",)), (b"<visit>M1</visit>", b"", ())],
    ids=["the same", "another", "not said"],
)
def test_only_another_value_contradicts_an_echo(old: bytes, new: bytes, faults: tuple[str, ...]) -> None:
    one = gateway()
    assert one.echo_faults(PAY, one.decode(PAY, Frame(body=PAID.replace(old, new)))) == faults


def test_a_msgid_is_made_by_its_template_in_china_time() -> None:
    assert gateway().msgid(MOMENT, 7) == "H00000000001202611220000010007"
    assert gateway(msgid="{admdvs}-{time:%y%m%d}-{n}").msgid(MOMENT, 7) == "360100-261122-7"


def test_a_route_that_calls_what_the_dialect_lacks_stops_the_start() -> None:
    with pytest.raises(ContractError, match="back: 0305"):
        gateway(ROUTE.replace('call = "void"', 'call = "0305"'))
