"""Absence by the files: which days' files could hold a call, and when all of them are known."""

from __future__ import annotations

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.place import Timers
from adapter_core.settlement.records import CallRecord, Case
from adapter_core.settlement.states import State
from adapter_core.settlement.unfiled import QUIET, Doubted, business_days, is_proved_absent, outlived_quiet, unfiled
from adapter_core.values.copies import replace

TIMERS, CAPABILITIES = Timers(), Capabilities()
AT = "2026-11-23T00:00:00Z"
CASE = Case("c1", "H", "settle", "K", "V", "e", "b", "outpatient", "national", State.RESOLVING, "", version=3)
BEFORE_MIDNIGHT = "2026-11-21T15:55:00Z"  # 23:55 in China


def call(not_after: str, msgid: str = "X1") -> CallRecord:
    return CallRecord("k", "H", msgid, "pay", "2207", "N", "c1", not_after=not_after)


def doubt(record: CallRecord) -> Doubted:
    days = business_days(record, TIMERS, CAPABILITIES)
    return Doubted("c1", "gateway", record.msgid, days, True, "310", "11", "", False, "M1")


def test_a_late_commit_over_midnight_may_be_in_two_files() -> None:
    assert business_days(call("2026-11-21T02:00:00Z"), TIMERS, CAPABILITIES) == ("2026-11-21",)
    assert business_days(call(BEFORE_MIDNIGHT), TIMERS, CAPABILITIES) == ("2026-11-21", "2026-11-22")
    # the gate was open on the day before, and the last byte may leave on the next
    assert business_days(call("2026-11-21T16:00:03Z"), TIMERS, CAPABILITIES) == ("2026-11-21", "2026-11-22")


def test_one_of_two_days_proves_nothing() -> None:
    record = call(BEFORE_MIDNIGHT)
    change = unfiled(CASE, doubt(record), "2026-11-21", AT)
    assert change is not None
    [case] = change.cases
    assert not is_proved_absent(case, record, TIMERS, CAPABILITIES)
    assert unfiled(case, doubt(record), "2026-11-21", AT) is None, "found again, it adds nothing"
    change = unfiled(case, doubt(record), "2026-11-22", AT)
    assert change is not None
    [case], [event] = change.cases, change.events
    assert is_proved_absent(case, record, TIMERS, CAPABILITIES)
    assert (event.kind, event.data["evidence"], event.data["day"]) == ("NOT_FILED", "E4", "2026-11-22")


def test_the_days_of_an_earlier_call_say_nothing_of_a_later_one() -> None:
    first, second = call("2026-11-21T02:00:00Z"), call("2026-11-21T03:00:00Z", "X2")
    change = unfiled(CASE, doubt(first), "2026-11-21", AT)
    assert change is not None
    [case] = change.cases
    assert not is_proved_absent(case, second, TIMERS, CAPABILITIES)
    change = unfiled(case, doubt(replace(second, not_after=BEFORE_MIDNIGHT)), "2026-11-22", AT)
    assert change is not None
    assert change.cases[0].data["unfiled"]["days"] == ["2026-11-22"]


def test_that_the_quiet_period_is_over_is_written_once() -> None:
    change = outlived_quiet(CASE, "X1", AT)
    assert change is not None
    [case], [event] = change.cases, change.events
    assert (case.data[QUIET], case.version, event.kind) == ("X1", 4, "QUIET")
    assert outlived_quiet(case, "X1", AT) is None
    assert outlived_quiet(case, "X2", AT) is not None
