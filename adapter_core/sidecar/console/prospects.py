"""What happens next with a case, and when at the latest: in words for the person who waits, from the case and its gateway alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter_core.province.capabilities import Capabilities
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import CallRecord, Case
from adapter_core.settlement.states import UNDECIDED, State


@dataclass(frozen=True, slots=True)
class Prospect:
    """text: Chinese, the key of its translation.  at: aware UTC, None where no time is set."""

    text: str
    at: datetime | None = None


PLAIN: dict[State, str] = {
    State.PREPARING: "正在登记、上传、试算；没有送结算",
    State.READY: "试算完成，即将送结算",
    State.FROZEN: "等待医保办裁定；裁定前就诊一直被占用",
    State.SETTLED: "结算有效；如需退费请办理退费",
    State.VOIDING: "退费正在办理，核实前请勿退现金",
    State.VOIDED: "退费有效；可用新业务号重新结算，或出具手工报销材料",
    State.REJECTED: "中心未接受；更正后用新业务号重新结算，或出具手工报销材料",
    State.NOT_SENT: "没有送达中心；可用同一业务号重试，或出具手工报销材料",
    State.NOT_APPLIED: "已证实中心没有这笔结算；可用新业务号重新结算，或出具手工报销材料",
    State.REVERSED: "已证实中心没有有效结算；可用新业务号重新结算，或出具手工报销材料",
    State.CANCELLED: "已取消；可用新业务号重新结算，或出具手工报销材料",
    State.MANUAL_OPEN: "材料已出具；等待交件，或收回后改直接结算",
    State.MANUAL_SUBMITTED: "材料已交参保地；等待经办机构办结",
    State.MANUAL_CLOSED: "手工报销已办结，不再直接结算",
    State.MANUAL_REVOKED: "材料已作废；可用新业务号直接结算",
}


def prospects(case: Case, calls: Sequence[CallRecord], place: Place) -> list[Prospect]:
    """In the order they are expected."""
    if case.state is State.QUOTED:
        lapses = datetime.fromisoformat(case.changed_at) + timedelta(seconds=place.timers.quote_ttl)
        return [Prospect("等待患者同意；逾期未结算自动取消", lapses)]
    if case.state in UNDECIDED:
        return _doubt(case, calls, place)
    return [Prospect(PLAIN[case.state])] if case.state in PLAIN else []


def _doubt(case: Case, calls: Sequence[CallRecord], place: Place) -> list[Prospect]:
    capabilities = place.gateway.capabilities
    money = next((call for call in reversed(calls) if call.kind_class == "N"), None)
    if money is None:
        return [Prospect("正在向中心核实")]
    sent = datetime.fromisoformat(money.not_after)
    found = [_asking(money, capabilities, case)]
    quiet = sent + timedelta(seconds=capabilities.late_commit_s + capabilities.query_lag_s)
    if capabilities.query_after_unknown == "by_visit":
        proved = quiet + timedelta(seconds=capabilities.second_negative_s)
        found.append(Prospect("中心若没有这笔结算，最早此时可以证实", proved))
    found.append(Prospect("到次日日终仍无证据，转人工核定", sent + timedelta(days=2)))
    return found


def _asking(money: CallRecord, capabilities: Capabilities, case: Case) -> Prospect:
    if money.burnt:
        return Prospect("已送冲正，正在确认冲正结果；就诊仍被占用")
    if not case.wanted:
        return Prospect("HIS 已不要这笔结算：查到后将自动冲正")
    if capabilities.query_after_unknown == "none":
        return Prospect("该线路不能查询：等待对账文件，或静默期后冲正")
    return Prospect("正在自动查询；查到即按原结算入账")
