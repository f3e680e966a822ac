"""When somebody is called.  Rules say what stands now; the book says what is new, so that nobody is called twice for one thing.

A text names work orders, never a person or a key of the HIS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adapter_core.centre.breaker import GROUP_ZH
from adapter_core.config import AlarmSettings
from adapter_core.ledger.reserve import FREE_BYTES_MIN
from adapter_core.operations.clock_check import CLOSES_S, WARNS_S
from adapter_core.operations.outlook import OpenCase, Outlook

Severity = Literal["warning", "critical"]
NEW_SUBJECTS_S = 300.0
"""A standing alarm that gains new cases is told again, but not more often than this."""
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong now.  subjects: what it is about, by ids of ours; text: for the hospital's engineer."""

    name: str
    severity: Severity
    text: str
    subjects: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be told: ``raised``, ``again`` (it still stands, or grew), or ``over``."""

    alarm: Alarm
    word: Literal["raised", "again", "over"]

    @property
    def text(self) -> str:
        return f"{_WORD_ZH[self.word]}{self.alarm.text}"


_WORD_ZH = {"raised": "【告警】", "again": "【仍未恢复】", "over": "【已恢复】"}


def standing_alarms(seen: Outlook, settings: AlarmSettings) -> list[Alarm]:
    """Every rule whose condition holds."""
    found = (rule(seen, settings) for rule in RULES)
    return [alarm for alarm in found if alarm is not None]


def _unknown(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    old = [case for case in seen.unknown if case.age_s > settings.unknown_after]
    if not old:
        return None
    minutes = int(max(case.age_s for case in old) // 60)
    text = f"{len(old)} 笔结算结果未知已久，最久 {minutes} 分钟：{_work_orders(old)}。请勿改自费，运行 his-adapter cases 查看"
    return Alarm("unknown", "critical", text, frozenset(case.case_id for case in old))


def _frozen(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if not seen.frozen:
        return None
    text = f"{len(seen.frozen)} 笔业务待人工核定：{_work_orders(seen.frozen)}。请用 his-adapter decide 裁定"
    return Alarm("frozen", "critical", text, frozenset(case.case_id for case in seen.frozen))


def _chain(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if not seen.chain_complaint:
        return None
    return Alarm("chain", "critical", f"账本链条核验不通过：{seen.chain_complaint}。请停止服务并保留现场")


def _ledger(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if not seen.ledger_trouble:
        return None
    return Alarm("ledger", "critical", f"账本不可用（{seen.ledger_trouble}），已停止一切结算发送")


def _disk(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    free = seen.disk_free_bytes
    if free is None or free >= settings.disk_free_mb * 1024 * 1024:
        return None
    stopped = free < FREE_BYTES_MIN
    more = "，已停止受理新业务" if stopped else ""
    return Alarm("disk", "critical" if stopped else "warning", f"账本所在磁盘仅剩 {free // 1024 // 1024} MB{more}")


def _clock(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if seen.skew_s is None or abs(seen.skew_s) <= WARNS_S:
        return None
    closed = abs(seen.skew_s) > CLOSES_S
    more = "，已停止发送结算和退费" if closed else ""
    return Alarm(
        "clock",
        "critical" if closed else "warning",
        f"本机时钟与医保中心相差约 {abs(seen.skew_s):.0f} 秒{more}，请校时",
    )


def _breaker(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    long = [one for one in seen.outages if one.lasted_s >= settings.breaker_after]
    if not long:
        return None
    groups = "、".join(GROUP_ZH[one.group] for one in long)
    minutes = int(max(one.lasted_s for one in long) // 60)
    text = f"医保{groups}接口已中断 {minutes} 分钟，结算返回“未发送”，恢复后自动放行"
    return Alarm("breaker", "warning", text, frozenset(f"{one.endpoint}/{one.group}" for one in long))


def _accounts(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if not seen.accounts:
        return None
    listed = "；".join(text for _, text in seen.accounts[:_NAMED])
    text = f"对账告警 {len(seen.accounts)} 项：{listed}。请用 his-adapter accounts differences 查看，处理后用 accounts close 了结"
    return Alarm("accounts", "critical", text, frozenset(number for number, _ in seen.accounts))


def _reminders(seen: Outlook, settings: AlarmSettings) -> Alarm | None:
    if not seen.reminders:
        return None
    listed = "；".join(text for _, text in seen.reminders[:_NAMED])
    text = f"账务提醒 {len(seen.reminders)} 项：{listed}。请用 his-adapter accounts calendar 查看，办理后用 accounts close 了结"
    return Alarm("reminders", "warning", text, frozenset(number for number, _ in seen.reminders))


Rule = Callable[[Outlook, AlarmSettings], Alarm | None]
RULES: tuple[Rule, ...] = (_unknown, _frozen, _chain, _ledger, _disk, _clock, _breaker, _accounts, _reminders)
NAMES = ("unknown", "frozen", "chain", "ledger", "disk", "clock", "breaker", "accounts", "reminders")


def _work_orders(cases: Sequence[OpenCase]) -> str:
    named = "、".join(case.work_order for case in cases[:_NAMED])
    return named + (f" 等 {len(cases)} 笔" if len(cases) > _NAMED else "")


@dataclass(slots=True)
class _Entry:
    alarm: Alarm
    told_at: float


@dataclass(slots=True)
class AlarmBook:
    """What was told already.  Times on the monotonic clock, seconds.  repeat_s: when a standing alarm is told again."""

    repeat_s: float
    entries: dict[str, _Entry] = field(default_factory=dict)

    def update(self, standing: Iterable[Alarm], at: float) -> list[Call]:
        """What is to be told now."""
        calls = []
        present = {alarm.name: alarm for alarm in standing}
        for name, alarm in present.items():
            entry = self.entries.get(name)
            if entry is None:
                calls.append(Call(alarm, "raised"))
                self.entries[name] = _Entry(alarm, at)
            elif self._is_worth_telling(entry, alarm, at):
                calls.append(Call(alarm, "again"))
                self.entries[name] = _Entry(alarm, at)
        for name in [name for name in self.entries if name not in present]:
            calls.append(Call(self.entries.pop(name).alarm, "over"))
        return calls

    def _is_worth_telling(self, entry: _Entry, alarm: Alarm, at: float) -> bool:
        if alarm.severity != entry.alarm.severity:
            return True
        silence = NEW_SUBJECTS_S if alarm.subjects - entry.alarm.subjects else self.repeat_s
        return at - entry.told_at >= silence
