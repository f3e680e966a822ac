"""Downtime notices: planned ones from the hospital's own file, unplanned ones from open circuits."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from adapter_core.centre.breaker import GROUP_ZH, GROUPS, Outage
from adapter_core.standard.regions import region
from adapter_core.values.errors import ConfigError, Fault
from adapter_core.values.moments import china, parse_national_time

MANUAL_AFTER_S = 600.0
"""An interface that has been away for longer than this is not worth a patient's waiting."""

_KEYS = {
    "admdvs": "医保区划前缀", "from": "开始时间", "to": "结束时间", "text": "内容", "source": "来源",
}  # fmt: skip
_WAIT_ZH = "请稍后重试；结果待查的结算请勿重复收费"
_MANUAL_ZH = "中断已超过 10 分钟：未发送的结算可改走手工报销；结果待查的结算请勿重复收费，也不可改走手工报销，等待查明"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to cashiers.

    admdvs: planned: the regions it is about, as a prefix of 2, 4 or 6 digits, empty for all; endpoint: unplanned: the
    wire's name of the address; since, until: aware UTC, until None while nobody knows; text, advice: Chinese;
    source: who announced it, ``breaker`` for an unplanned one.
    """

    kind: Literal["planned", "unplanned"]
    since: datetime
    until: datetime | None
    text: str
    source: str
    admdvs: str = ""
    endpoint: str = ""
    advice: str = ""


class Notices:
    """All notices that hold."""

    def __init__(self, planned: Iterable[Notice], outages: Callable[[], Iterable[Outage]]) -> None:
        """outages: the circuits open now, as `GuardedWire.outages` gives them."""
        self._planned = tuple(sorted(planned, key=lambda notice: notice.since))
        self._outages = outages

    def current(self, now: datetime) -> list[Notice]:
        """The planned notices whose time is now, by their beginning, then one for each endpoint that is out.

        now: aware, UTC.
        """
        planned = [one for one in self._planned if one.since <= now and (one.until is None or now < one.until)]
        outages = list(self._outages())
        endpoints = dict.fromkeys(outage.endpoint for outage in outages)
        return planned + [_unplanned([one for one in outages if one.endpoint == name]) for name in endpoints]


def _unplanned(outages: list[Outage]) -> Notice:
    first = max(outages, key=lambda outage: outage.lasted_s)
    groups = {outage.group for outage in outages}
    stopped = "、".join(GROUP_ZH[group] for group in GROUPS if group in groups)
    return Notice(
        kind="unplanned",
        since=first.since,
        until=None,
        text=f"医保接口自 {china(first.since):%m-%d %H:%M} 起中断，暂停：{stopped}",
        source="breaker",
        endpoint=first.endpoint,
        advice=_MANUAL_ZH if first.lasted_s > MANUAL_AFTER_S else _WAIT_ZH,
    )


def load_planned(path: Path) -> tuple[Notice, ...]:
    """Planned notices of a TOML file, read as `parse_planned` says.  Raises: ConfigError."""
    try:
        text = path.read_text("utf-8-sig")  # an editor on Windows may put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"notices {path.name}: can't be read as UTF-8") from error
    return parse_planned(text, path.name)


def parse_planned(text: str, name: str) -> tuple[Notice, ...]:
    """Planned notices of a TOML text: tables ``[[notices]]``, each with these keys, all of them texts:

    admdvs: prefix of 2, 4 or 6 digits of a region code, "" for all regions; from, to: ``yyyy-MM-dd HH:mm:ss`` China
    time, ``to`` not included; text: what cashiers read; source: who announced it.

    Raises: ConfigError with all faults.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"notices {name}: {error}") from None
    rows = document.get("notices", [])
    faults = [Fault(key, "only [[notices]]", "an unknown key") for key in document if key != "notices"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        faults.append(Fault("notices", "tables [[notices]]", type(rows).__name__))
        rows = []
    notices = [_planned(row, f"notices[{number}]", faults) for number, row in enumerate(rows, 1)]
    if faults:
        raise ConfigError(f"notices {name}: " + "; ".join(map(str, faults)))
    return tuple(notice for notice in notices if notice is not None)


def _planned(row: Mapping[str, Any], path: str, faults: list[Fault]) -> Notice | None:
    """One notice; None when it has faults, which join ``faults``."""
    before = len(faults)
    faults += [
        Fault(f"{path}.{key}", "one of " + ", ".join(_KEYS), "an unknown key") for key in row if key not in _KEYS
    ]
    values = {}
    for key, title in _KEYS.items():
        value = row.get(key)
        if isinstance(value, str) and (value.strip() or key == "admdvs"):
            values[key] = value.strip()
        else:
            faults.append(Fault(f"{path}.{key}", "a text", _seen(value), title))
    prefix = values.get("admdvs", "")
    if prefix and not (len(prefix) in (2, 4, 6) and region(prefix.ljust(6, "0"))):
        faults.append(
            Fault(f"{path}.admdvs", "2, 4 or 6 digits of a known province", repr(prefix[:8]), _KEYS["admdvs"])
        )
    since, until = (_moment(values, key, path, faults) for key in ("from", "to"))
    if since and until and until <= since:
        faults.append(Fault(f"{path}.to", "later than from", values["to"], _KEYS["to"]))
    if len(faults) > before or since is None:
        return None
    return Notice("planned", since, until, values["text"], values["source"], admdvs=prefix)


def _seen(value: object) -> str:
    if value is None or isinstance(value, str):
        return "nothing" if value is None else "an empty text"
    return type(value).__name__


def _moment(values: Mapping[str, str], key: str, path: str, faults: list[Fault]) -> datetime | None:
    if key not in values:
        return None
    try:
        return parse_national_time(values[key])
    except ValueError:
        faults.append(Fault(f"{path}.{key}", "yyyy-MM-dd HH:mm:ss", repr(values[key][:30]), _KEYS[key]))
        return None
