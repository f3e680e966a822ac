"""Commands that talk to the ledger and the centre: settle, void, show."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.bootstrap.site import plugins, site_dialect
from adapter_core.cli.app import EXIT, STATE_EXIT, exit_code
from adapter_core.cli.remote import PlayRefused, Service, listens
from adapter_core.cli.showing import STATE_ZH, error_data, error_lines, print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.records import Case
from adapter_core.sidecar.frames import answered
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, NotSupported, Refused, TranslationError
from adapter_core.values.frames import Frame
from adapter_core.values.money import from_fen


@dataclass(frozen=True, slots=True)
class Played:
    """One message and what came of it; ``error`` when it was refused before anything was sent."""

    name: str
    outcome: Outcome | None
    answer: Frame | None
    error: AdapterError | None

    @property
    def exit(self) -> int:
        if self.error:
            return exit_code(self.error)
        if self.outcome is None:
            return 0
        changed = self.outcome.code == "QUOTE_CHANGED"  # asked to settle, and not settled
        return EXIT["not_sent"] if changed else STATE_EXIT[self.outcome.state]


PlayOne = Callable[[str, bytes, float | None, Mapping[str, str]], Awaitable[Played]]
"""``(file name, bytes, longest wait, side)``."""


async def play_message(
    running: Adapter,
    dialect: Dialect,
    name: str,
    raw: bytes,
    wait_s: float | None,
    side: Mapping[str, str] | None = None,
    org: str = "",
) -> Played:
    """One local message through the whole adapter.

    org: the institution it comes from, "" for the only one.  A message that can't be read, or is refused, is still answered in its
    own form where the form allows it.
    """
    place = running.place_named(org)
    try:
        frame = replace(dialect.read_frame_file(raw, name), side=dict(side or {}))
    except (TranslationError, NotSupported) as error:
        await running.note_refusal(dialect.name, error, place.org)
        return Played(name, None, None, error)
    # who plays a file waits for its answer, for a stay's as well
    patience = place.timers.sync_wait if wait_s is None else wait_s
    came = await answered(running, place, dialect, frame, patience)
    return Played(name, came.outcome, came.frame, came.error)


async def play(
    config: Path,
    dialect_name: str,
    files: Iterable[Path],
    wait_s: float | None,
    side: Iterable[str],
    answers: Path | None,
    as_json: bool,
    institution: str = "",
) -> int:
    messages = [(path.name, path.read_bytes()) for path in _in_order(files)]
    beside = dict(one.partition("=")[::2] for one in side)
    worst = 0
    shown = []
    async with _player(load_config(config), dialect_name, as_json, institution) as (dialect, play_one):
        for name, raw in messages:
            played = await play_one(name, raw, wait_s, beside)
            worst = worst or played.exit
            if answers and played.answer:
                answers.mkdir(parents=True, exist_ok=True)
                (answers / f"{name}.answer").write_bytes(dialect.write_frame_file(played.answer))
            if as_json:
                shown.append(played_data(played, dialect))
            else:
                _print_played(played, dialect)
            if played.exit:
                break
    if as_json:
        print_json(shown if len(shown) != 1 else shown[0])
    return worst


@asynccontextmanager
async def _player(config: Config, dialect_name: str, as_json: bool, org: str) -> AsyncIterator[tuple[Dialect, PlayOne]]:
    """How a message is played: through the service that holds the ledger, or here where none runs."""
    if listens(config):
        dialect = site_dialect(config, plugins(config.settings.plugins), dialect_name, org)
        async with Service(config) as service:

            async def through(name: str, raw: bytes, wait_s: float | None, side: Mapping[str, str]) -> Played:
                try:
                    outcome, answer = await service.play(dialect_name, raw, name, wait_s, side, org)
                except PlayRefused as refused:
                    return Played(name, None, refused.answer, refused.error)
                return Played(name, outcome, answer, None)

            yield dialect, through
        return
    async with adapter(config) as running:
        running.place_named(org)  # said before any message is played
        dialect = running.dialect(dialect_name, org)
        _print_notices(running, as_json)

        async def here(name: str, raw: bytes, wait_s: float | None, side: Mapping[str, str]) -> Played:
            return await play_message(running, dialect, name, raw, wait_s, side, org)

        yield dialect, here


def _print_notices(running: Adapter, as_json: bool) -> None:
    """Downtime notices, on the error stream: they are no answer to any message."""
    for notice in running.notices() if not as_json else ():
        print(f"停机公告：{notice.text} {notice.advice}".rstrip(), file=sys.stderr)


def _in_order(files: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            found.extend(sorted(one for one in path.iterdir() if one.is_file()))
        elif path.is_file():
            found.append(path)
        else:
            raise NotSupported(f"no file {path}", message_zh=f"找不到报文文件 {path}")
    return found


def answer_text(frame: Frame, dialect: Dialect) -> str:
    """An answer's bytes as text, strictly in the dialect's charset."""
    return dialect.write_frame_file(frame).decode("gb18030" if dialect.charset.startswith("gb") else dialect.charset)


def played_data(played: Played, dialect: Dialect) -> dict[str, Any]:
    data: dict[str, Any] = {"file": played.name, "exit": played.exit}
    if played.error:
        data |= error_data(played.error)
    if played.outcome:
        outcome = played.outcome
        data |= {
            "state": outcome.state,
            "code": outcome.code,
            "message_zh": outcome.message_zh,
            "next": list(outcome.next),
            "setlinfo": outcome.content.get("result", {}),
            "refs": dict(outcome.refs),
        }
    if played.answer:
        data["answer_text"] = answer_text(played.answer, dialect)
        data["answer_base64"] = base64.b64encode(dialect.write_frame_file(played.answer)).decode("ascii")
        data["charset"] = dialect.charset
    return data


def _print_played(played: Played, dialect: Dialect) -> None:
    if played.answer:
        print(answer_text(played.answer, dialect))
    if played.outcome:
        print(f"{STATE_ZH.get(played.outcome.state, played.outcome.state)}：{played.outcome.message_zh}")
    if played.error:
        for line in error_lines(played.error):
            print(line, file=sys.stderr)


async def find_case(running: Adapter, key: str) -> Case:
    """A case by its id, its settle key or its void key.  Raises: Refused NO_SUCH_CASE."""
    ledger = running.ledger
    found = [await ledger.case(key)]
    for place in running.every_place:
        found += [await ledger.case_by_key(place.org, purpose, key) for purpose in ("settle", "void")]
    cases = [case for case in found if case is not None]
    if not cases:
        raise Refused(f"no case {key}", code="NO_SUCH_CASE", message_zh=f"账本中没有 {key}")
    if len(cases) > 1:
        listed = "、".join(case.case_id for case in cases)
        text = f"几个机构都有业务号 {key}，请改用工单号或 case_id：{listed}"
        raise Refused(f"several cases {key}", code="NO_SUCH_CASE", message_zh=text)
    return cases[0]


async def void_case(config: Path, key: str, reason: str, as_json: bool) -> int:
    loaded = load_config(config)
    if listens(loaded):
        async with Service(loaded) as service:
            outcome = await service.void(key, reason)
    else:
        outcome = await _void_here(loaded, key, reason)
    if as_json:
        print_json({"state": outcome.state, "code": outcome.code, "message_zh": outcome.message_zh})
    else:
        print(f"{STATE_ZH.get(outcome.state, outcome.state)}：{outcome.message_zh}")
    return STATE_EXIT[outcome.state]


async def _void_here(config: Config, key: str, reason: str) -> Outcome:
    async with adapter(config) as running:
        case = await find_case(running, key)
        content = {"x": {"reason": reason}} if reason else {}
        operation = Operation("void", "void", "national", case.kind, keys={"settle": case.key}, content=content)
        place = running.place_named(case.org)
        return await running.pipeline.handle(place, running.dialect("national"), operation)


async def show_case(config: Path, key: str, as_json: bool) -> int:
    async with adapter(load_config(config), read_only=True) as running:
        case = await find_case(running, key)
        events = await running.ledger.events_of_case(case.case_id)
    amounts = {
        "total": case.total_fen, "fund": case.fund_fen, "account": case.account_fen, "cash": case.cash_fen,
    }  # fmt: skip
    if as_json:
        print_json(
            {
                "case_id": case.case_id,
                "key": case.key,
                "visit_key": case.visit_key,
                "state": str(case.state),
                "purpose": case.purpose,
                "setl_id": case.setl_id,
                "amounts_fen": amounts,
                "told": {name: case.told.get(name) for name in ("state", "code", "message_zh")} if case.told else None,
                "closed_by": case.data.get("closed_by"),
                "timeline": [{"at": event.at, "kind": event.kind, **_public(event.data)} for event in events],
            }
        )
        return 0
    yuan = {name: "" if fen is None else str(from_fen(fen)) for name, fen in amounts.items()}
    print_table(
        f"{case.case_id}  {STATE_ZH.get(case.state, case.state)}",
        ("业务号", "就诊单", "结算ID", "总额", "基金", "账户", "现金"),
        [(case.key, case.visit_key, case.setl_id, yuan["total"], yuan["fund"], yuan["account"], yuan["cash"])],
    )
    rows = [
        (event.at, event.kind, "；".join(f"{key}={value}" for key, value in _public(event.data).items()))
        for event in events
    ]
    print_table("经过", ("时间", "事件", "要点"), rows)
    return 0


def _public(data: Any) -> dict[str, Any]:
    """What of an event carries no personal data."""
    names = ("step", "message", "class", "msgid", "result", "code", "state", "evidence", "key", "reason")
    return {name: data[name] for name in names if data.get(name)}
