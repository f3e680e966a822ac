"""Acceptance (接口验收): a bureau's list of cases played against a configured test centre, and the report bureaus ask for.

The script is TOML: a title and cases, each with the HIS's messages in order and what each should be told::

    title = "某市医保局接口验收"
    [[case]]
    number = "MZ-01"
    name = "门诊预结算、结算、退费"
    dialect = "national"
    messages = ["quote.json", "settle.json", "void.json"]
    hears = ["QUOTED", "SETTLED", "VOIDED"]

Requests and replies are shown as they crossed the wire, people masked.  Only for test environments.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.config import Config
from adapter_core.operations.masking import printable
from adapter_core.province.dialect import Dialect
from adapter_core.settlement.place import Place
from adapter_core.settlement.records import Change, Event
from adapter_core.values.errors import AdapterError, ConfigError
from adapter_core.values.frames import Frame

if TYPE_CHECKING:
    from adapter_core.centre.breaker import Outage
    from adapter_core.centre.guarded import GuardedWire
    from adapter_core.settlement.ports import Ledger, Wire

ASKED = frozenset({"CALL", "INTENT"})
PRIVATE = ("psn_name", "certno", "mdtrt_cert_no", "card_sn", "tel", "addr", "brdy", "coner_name", "emp_name")
"""Fields of a person whose values are starred out wherever they stand."""
LONG_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d{15,18}[0-9Xx]?(?![A-Za-z0-9])")
HEADING = ("案例", "名称", "交易", "报文ID", "请求", "应答", "结果", "时间")


@dataclass(frozen=True, slots=True)
class Script:
    """What a bureau wants to see.  folder: its messages are read from there; institution: whose they are, "" for the only one."""

    title: str
    cases: tuple[ScriptCase, ...]
    folder: Path
    institution: str = ""


@dataclass(frozen=True, slots=True)
class ScriptCase:
    number: str
    name: str
    messages: tuple[str, ...]
    hears: tuple[str, ...]
    dialect: str = "national"


@dataclass(frozen=True, slots=True)
class Line:
    """One call on the wire.  result: as the core judged it; at: RFC 3339."""

    infno: str
    msgid: str
    request: str
    reply: str
    result: str
    at: str


@dataclass(slots=True)
class Played:
    """One case: its calls, and what the HIS was told beside what was expected."""

    case: ScriptCase
    lines: list[Line] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return tuple(self.heard) == self.case.hears


class Recorder:
    """Stands around the ledger: every call that is journalled, with its bytes, until `take`."""

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, Any]] = {}

    def around_ledger(self, ledger: Ledger) -> Ledger:
        return _Recording(ledger, self.note)

    def around_wire(self, wire: GuardedWire) -> Wire:
        return wire

    def outage(self, outage: Outage) -> None:
        """Nothing to record."""

    def note(self, event: Event) -> None:
        msgid = str(event.data.get("msgid", ""))
        if event.kind in ASKED:
            self._calls[msgid] = {
                "infno": event.data.get("message", ""),
                "at": event.at,
                "request": event.raw,
                "reply": b"",
                "result": "",
            }
        elif event.kind == "REPLY" and msgid in self._calls:
            self._calls[msgid]["reply"] = event.raw
        elif event.kind == "OUTCOME" and msgid in self._calls:
            self._calls[msgid]["result"] = event.data.get("result", "")

    def take(self, charset: str, private: Sequence[str]) -> Iterator[Line]:
        """The calls since the last time, oldest first, masked."""
        calls, self._calls = self._calls, {}
        for msgid, call in calls.items():
            yield Line(
                str(call["infno"]), msgid, masked_text(call["request"], charset, private),
                masked_text(call["reply"], charset, private), str(call["result"]), call["at"],
            )  # fmt: skip


class _Recording:
    """The ledger, and beside it whoever notes its events once they are durable."""

    def __init__(self, ledger: Ledger, note: Callable[[Event], None]) -> None:
        self._ledger = ledger
        self._note = note

    async def commit(self, change: Change) -> int:
        number = await self._ledger.commit(change)
        for event in change.events:
            self._note(event)
        return number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def read_script(path: Path) -> Script:
    """Raises: ConfigError naming what is wrong with it."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
        cases = tuple(_case(row) for row in tree["case"])
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name}: {error}") from None
    wrong = [one.number for one in cases if len(one.messages) != len(one.hears)]
    if wrong or not cases:
        raise ConfigError(
            f"{path.name}: as many hears as messages in each case: {', '.join(wrong) or 'no case at all'}"
        )
    return Script(str(tree.get("title", path.stem)), cases, path.resolve().parent, str(tree.get("institution", "")))


def _case(row: Mapping[str, Any]) -> ScriptCase:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return ScriptCase(**fields)


async def play_script(config: Config, script: Script, told: Callable[[Played], None]) -> list[Played]:
    """Every case in turn.  told: after each.  Raises: ConfigError in production."""
    if config.settings.environment == "production":
        raise ConfigError("acceptance runs against a test environment only")
    recorder = Recorder()
    done = []
    async with adapter(config, instruments=recorder) as running:
        for case in script.cases:
            played = await _play(running, recorder, case, script)
            told(played)
            done.append(played)
    return done


async def _play(running: Adapter, recorder: Recorder, case: ScriptCase, script: Script) -> Played:
    place = running.place_named(script.institution)
    dialect = running.dialect(case.dialect, place.org)
    played = Played(case)
    private: list[str] = []
    for name in case.messages:
        try:
            frame = dialect.read_frame_file((script.folder / name).read_bytes(), name)
        except OSError as error:
            raise ConfigError(f"case {case.number}: {name}: {error.strerror}") from None
        played.heard.append(await _said(running, place, dialect, frame, private))
    await running.pipeline.settled_down()
    played.lines = list(recorder.take(dialect.charset, private))
    return played


async def _said(running: Adapter, place: Place, dialect: Dialect, frame: Frame, private: list[str]) -> str:
    try:
        operation = dialect.decode_request(frame)
        private += _persons(operation.content)
        outcome = await running.pipeline.handle(place, dialect, operation)
    except AdapterError as error:
        return error.code
    private += _persons(outcome.content)
    return outcome.state


def _persons(content: Mapping[str, Any]) -> list[str]:
    person = content.get("person", {})
    values = {str(person[name]) for name in PRIVATE if len(str(person.get(name) or "")) > 1}
    return sorted(values, key=len, reverse=True)


def masked_text(raw: bytes, charset: str, private: Sequence[str]) -> str:
    """Wire bytes as a report shows them: people's values and long numbers starred out.  msgids, which begin with letters, stay."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "backslashreplace")
    for value in private:
        text = text.replace(value, value[0] + "***")
    return printable(LONG_NUMBER.sub("***", text), len(text))


def report_rows(played: Sequence[Played]) -> list[list[str]]:
    """The report as a table, one row a call; a case without calls has one row too."""
    rows = [list(HEADING)]
    for one in played:
        verdict = "通过" if one.passed else f"不符：应为 {'、'.join(one.case.hears)}，实为 {'、'.join(one.heard)}"
        lines = one.lines or [Line("", "", "", "", "", "")]
        rows += [
            [
                one.case.number,
                one.case.name,
                line.infno,
                line.msgid,
                line.request,
                line.reply,
                line.result or verdict,
                line.at,
            ]
            for line in lines
        ]
        rows.append([one.case.number, one.case.name, "合计", "", f"{len(one.lines)} 次调用", "", verdict, ""])
    return rows


def report_data(config: Config, script: Script, played: Sequence[Played], made_at: str) -> dict[str, Any]:
    """The report as `paperwork.rendering` prints it, template ``acceptance``."""
    named = (one for one in config.settings.every_institution if one.fixmedins_code == script.institution)
    institution = next(named, config.settings.institution)
    return {
        "environment": config.settings.environment,
        "institution": {"name": institution.fixmedins_name, "code": institution.fixmedins_code},
        "title": script.title,
        "at": made_at,
        "passed": sum(one.passed for one in played),
        "cases": [
            {
                "number": one.case.number, "name": one.case.name, "passed": one.passed, "hears": list(one.case.hears),
                "heard": one.heard,
                "lines": [
                    {"infno": line.infno, "msgid": line.msgid, "request": line.request, "reply": line.reply, "result": line.result, "at": line.at}
                    for line in one.lines
                ],
            }
            for one in played
        ],
    }  # fmt: skip
