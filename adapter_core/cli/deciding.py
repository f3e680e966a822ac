"""Commands for the insurance office: what waits for evidence or for a person, and a person's decision."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from adapter_core.bootstrap.assembly import adapter, opened_ledger
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.cli.app import STATE_EXIT
from adapter_core.cli.playing import find_case
from adapter_core.cli.remote import Service, listens
from adapter_core.cli.showing import STATE_ZH, print_json, print_table
from adapter_core.config import load_config
from adapter_core.settlement.answers import work_order
from adapter_core.settlement.records import Change, Event
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.values.errors import Fault, TranslationError
from adapter_core.values.moments import iso
from adapter_core.values.money import MoneyError, yuan

WAITING = (*sorted(UNDECIDED), State.FROZEN)


async def list_cases(config: Path, states: list[str], as_json: bool) -> int:
    """Cases in the given states, oldest first."""
    unknown = [name for name in states if name not in State.__members__]
    if unknown:
        raise TranslationError([Fault("--state", "|".join(State.__members__), name) for name in unknown])
    async with adapter(load_config(config), read_only=True) as running:
        found = await running.ledger.cases_in([State(name) for name in states] or WAITING)
    if as_json:
        print_json(
            [
                {
                    "case_id": case.case_id,
                    "key": case.key,
                    "visit_key": case.visit_key,
                    "purpose": case.purpose,
                    "state": str(case.state),
                    "work_order": work_order(case),
                    "opened_at": case.opened_at,
                    "changed_at": case.changed_at,
                    "why": case.data.get("frozen_because") or case.data.get("why", ""),
                }
                for case in found
            ]
        )
        return 0
    print_table(
        "业务",
        ("工单号", "业务号", "就诊单", "状态", "自", "原因"),
        [
            (
                work_order(case),
                case.key,
                case.visit_key,
                STATE_ZH.get(case.state, case.state),
                case.changed_at,
                case.data.get("frozen_because") or case.data.get("why", ""),
            )
            for case in found
        ],
    )
    return 0


async def decide_case(
    config: Path,
    key: str,
    outcome: str,
    operator: str,
    reason: str,
    proof: Path,
    second: str,
    result: Iterable[str],
    as_json: bool,
) -> int:
    """One decision; the proof file's SHA-256 goes into the journal, the file stays with the hospital."""
    if not proof.is_file():
        raise TranslationError([Fault("--proof", "a file", str(proof))], message_zh="找不到依据文件，未受理")
    digest = hashlib.sha256(proof.read_bytes()).hexdigest()
    decision = OperatorDecision(outcome, operator, reason, f"{proof.name} sha256:{digest}", second, _fields(result))
    loaded = load_config(config)
    if listens(loaded):
        async with Service(loaded) as service:
            told = await service.decide(key, decision)
    else:
        async with adapter(loaded) as running:
            case = await find_case(running, key)
            told = await running.pipeline.decide(running.place_named(case.org), case, decision)
    if as_json:
        print_json({"state": told.state, "code": told.code, "message_zh": told.message_zh})
    else:
        print(f"{STATE_ZH.get(told.state, told.state)}：{told.message_zh}")
    return STATE_EXIT[told.state]


def _fields(pairs: Iterable[str]) -> dict[str, object]:
    """``name=value`` pairs; amounts as Decimal.  Raises: TranslationError with every fault."""
    fields: dict[str, object] = {}
    faults = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            fields[name] = value if name == "setl_id" else yuan(value)
        except MoneyError as error:
            faults.append(Fault(f"--result {name}", "an amount in yuan", str(error)))
    if faults:
        raise TranslationError(faults)
    return fields


async def forget_witness(config_path: Path, name: str, operator: str, reason: str) -> int:
    """A replica that is gone for good is waited for no more; the journal keeps who said so, and why."""
    config, clock = load_config(config_path), SystemClock()
    async with AsyncExitStack() as parts:
        ledger = await opened_ledger(config, clock, parts)
        if not await ledger.forget_witness(name):
            print(f"没有名为 {name} 的见证文件", file=sys.stderr)
            return 3
        facts = {"witness": name, "operator": operator, "reason": reason}
        event = Event("WITNESS_FORGOTTEN", iso(clock.wall()), "", "", facts)
        await ledger.commit(Change(config.settings.institution.fixmedins_code, events=(event,)))
    print(f"不再等待见证文件 {name}")
    return 0
