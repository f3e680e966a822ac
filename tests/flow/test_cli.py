"""The command line as a HIS's people use it: real processes, exit codes, answers on the screen and as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter_core.cli.playing import play_message
from adapter_core.ledger.inspection import export
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import TranslationError
from tests.flow.hospital import ORG, Announcing, Hospital, assert_invariants, config_text, line, message

PROGRAM = Path(sys.executable).parent / ("his-adapter.exe" if os.name == "nt" else "his-adapter")


@dataclass(frozen=True, slots=True)
class Ran:
    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
def run(folder: Path) -> Run:
    """Run ``his-adapter`` in the site's folder."""

    async def command(*arguments: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode("utf-8"), err.decode("utf-8"))

    return command


def save(folder: Path, tree: Any, name: str = "message.json") -> str:
    raw = tree if isinstance(tree, bytes) else json.dumps(tree, ensure_ascii=False).encode()
    (folder / name).write_bytes(raw)
    return name


def journal(folder: Path) -> list[str]:
    """Kinds of all events, in order."""
    return [row["kind"] for row in export(folder / "ledger.db")]


def without(section: str, name: str) -> dict[str, Any]:
    tree = message()
    rows = tree[section] if isinstance(tree[section], list) else [tree[section]]
    for row in rows:
        del row[name]
    return tree


WHOLE = json.dumps(message(), ensure_ascii=False)
BAD: dict[str, tuple[Any, list[str]]] = {
    "cut short": (WHOLE[: len(WHOLE) // 2].encode(), []),
    "not UTF-8": (WHOLE.encode("gb18030"), []),
    "a member twice": (WHOLE.replace('"kind"', '"intent"', 1).encode(), []),
    "no object": (b"[1, 2]", ["$"]),
    "unknown intent": ({**message(), "intent": ["settle"]}, ["intent"]),
    "no key": (message(settle_key=""), ["settle_key"]),
    "no card number": (without("person", "mdtrt_cert_no"), ["mdtrt_cert_no"]),
    "no fees": (message(fees=None), ["fees"]),
    "no main diagnosis flag": (without("diagnoses", "maindiag_flag"), ["maindiag_flag"]),
    "two fields of a line": (
        message(fees=[{name: value for name, value in line("F1", "9.00").items() if name not in ("cnt", "pric")}]),
        ["feedetail[0].cnt", "feedetail[0].pric"],
    ),
    "an unknown code": (message(settle={"med_type": "11", "psn_setlway": "99"}), ["psn_setlway"]),
    "three places": (message(fees=[line("F1", "9.005")]), ["fees[0].det_item_fee_sumamt"]),
    "an amount in words": (message(fees=[line("F1", "十元")]), ["fees[0].det_item_fee_sumamt", "fees[0].pric"]),
    "another sum": (message(settle={"med_type": "11", "medfee_sumamt": "199.99"}), ["settle.medfee_sumamt"]),
    "another sum and an unknown code": (
        message(settle={"med_type": "11", "medfee_sumamt": "199.99", "psn_setlway": "99"}),
        ["settle.medfee_sumamt", "psn_setlway"],
    ),
}


def assert_each(paths: list[str], found: list[str]) -> None:
    for path in paths:
        assert any(one.endswith(path) for one in found), f"{path} not in {found}"


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_refused_with_every_fault_and_nothing_is_sent(hospital: Hospital, case: str) -> None:
    content, paths = BAD[case]
    raw = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    played = await play_message(hospital.running, hospital.dialect, case, raw, None)
    assert played.exit == 3
    assert isinstance(played.error, TranslationError)
    assert played.error.message_zh
    assert_each(paths, [fault.path for fault in played.error.faults])
    assert hospital.calls == []
    assert journal(hospital.folder) == ["REFUSED"]


@pytest.mark.parametrize("case", ["cut short", "not UTF-8", "two fields of a line", "another sum and an unknown code"])
async def test_bad_input_is_exit_3_with_every_fault(run: Run, folder: Path, centre: Simulator, case: str) -> None:
    content, paths = BAD[case]
    ran = await run("settle", save(folder, content), "--json")
    assert ran.exit == 3, ran.err + ran.out
    told = ran.json
    assert told["code"]
    assert told["message_zh"]
    assert_each(paths, [fault["path"] for fault in told["faults"]])
    assert centre.entries == []
    assert journal(folder) == ["REFUSED"]


async def test_a_day_at_the_till(run: Run, folder: Path, centre: Simulator) -> None:
    """Quote, settle, look, refund, and look into the ledger; what each command prints."""
    settled = await run("settle", save(folder, message()), "--json")
    assert (settled.exit, settled.json["state"]) == (0, "SETTLED")
    [stands] = centre.world.settlements.values()
    assert settled.json["setlinfo"]["setl_id"] == stands.setl_id

    again = await run("settle", "message.json")
    assert again.exit == 0
    assert "已结算" in again.out
    assert "结算成功" in again.out

    shown = await run("show", "K1", "--json")
    assert (shown.exit, shown.json["state"], shown.json["setl_id"]) == (0, "SETTLED", stands.setl_id)
    assert [event["kind"] for event in shown.json["timeline"]][-1] == "TOLD"
    assert "110101190001010000" not in shown.out

    voided = await run("void", "K1", "--reason", "退号", "--json")
    assert (voided.exit, voided.json["state"]) == (0, "VOIDED")
    assert (await run("void", "K1")).exit == 0
    assert len([one for one in centre.entries if one.infno == "2208"]) == 1

    verified = await run("ledger", "verify", "--json")
    assert (verified.exit, verified.json["whole"]) == (0, True)

    before = journal(folder)
    unsealed = await run("ledger", "export", "--unsealed")
    rows = [json.loads(row) for row in unsealed.out.splitlines()]
    assert any(row["data"].get("content", {}).get("person", {}).get("psn_name") == "测试甲" for row in rows)
    assert journal(folder) == [*before, "READ"]
    sealed = await run("ledger", "export")
    assert [json.loads(row)["kind"] for row in sealed.out.splitlines()] == [*before, "READ"]
    assert "测试甲" not in sealed.out
    assert_invariants(centre, folder)


async def test_refused_by_the_centre_is_exit_4(run: Run, folder: Path, centre: Simulator) -> None:
    centre.set_rules(read_rules([{"infno": "2207", "actions": ["error(-1,没有获取到异地备案信息!)"]}]))
    ran = await run("settle", save(folder, message()), "--json")
    assert (ran.exit, ran.json["state"], ran.json["code"]) == (4, "REJECTED", "NOT_FILED")
    plain = await run("settle", "message.json")
    assert plain.exit == 4
    assert "中心拒绝" in plain.out


async def test_out_of_reach_is_exit_5_and_the_same_file_goes_on(run: Run, folder: Path, centre: Simulator) -> None:
    centre.set_rules(read_rules([{"infno": None, "actions": ["refuse(600)"]}]))
    ran = await run("settle", save(folder, message()), "--json")
    assert (ran.exit, ran.json["state"]) == (5, "NOT_SENT")
    centre.set_rules(read_rules([]))
    assert (await run("settle", "message.json")).exit == 0


async def test_in_doubt_is_exit_6_until_it_is_known(run: Run, folder: Path, centre: Simulator) -> None:
    text = config_text(centre.url).replace("sync_wait = 5.0", "sync_wait = 0.3")
    (folder / "his-adapter.toml").write_text(text, "utf-8")
    centre.world.temperament = centre.world.temperament.changed({"query_lag_s": 600})
    centre.set_rules(read_rules([{"infno": "2207", "actions": ["commit", "drop"]}]))
    ran = await run("settle", save(folder, message()), "--json")
    assert (ran.exit, ran.json["state"]) == (6, "PENDING")
    assert "请勿改自费" in ran.json["message_zh"]
    centre.world.temperament = centre.world.temperament.changed({"query_lag_s": 0})
    (folder / "his-adapter.toml").write_text(config_text(centre.url), "utf-8")
    assert (await run("settle", "message.json", "--json")).json["state"] == "SETTLED"
    assert len([one for one in centre.entries if one.infno == "2207"]) == 1


async def test_without_a_query_it_is_exit_6_for_a_person(run: Run, folder: Path, centre: Simulator) -> None:
    text = config_text(centre.url, "none").replace('"none"', '"none"\nreverse_ok = "nothing"')
    (folder / "his-adapter.toml").write_text(f"{text}[accounts]\nreconcile = false\n", "utf-8")
    centre.set_rules(read_rules([{"infno": "2207", "actions": ["drop"]}]))
    ran = await run("settle", save(folder, message()), "--json")
    assert (ran.exit, ran.json["state"]) == (6, "FROZEN")


async def test_a_quote_that_changed_is_not_exit_0(run: Run, folder: Path, centre: Simulator) -> None:
    """A script that reads only the exit code must not take the patient's cash."""
    text = config_text(centre.url) + "requote_after = 0.000001\n"
    (folder / "his-adapter.toml").write_text(text, "utf-8")
    assert (await run("settle", save(folder, message("quote")))).exit == 0
    centre.world.person("T00000000001").insurances[0].balc -= 355
    ran = await run("settle", save(folder, {"intent": "settle", "settle_key": "K1"}), "--json")
    assert (ran.json["code"], ran.exit) == ("QUOTE_CHANGED", 5)


async def test_a_refund_refused_once_can_be_asked_for_again(run: Run, folder: Path, centre: Simulator) -> None:
    await run("settle", save(folder, message()))
    rule = {"infno": "2208", "nth": 1, "actions": ["error(-1,没有获取到异地备案信息!)"]}
    centre.set_rules(read_rules([rule]))
    assert (await run("void", "K1")).exit == 4
    assert (await run("void", "K1")).exit == 0


async def test_a_folder_is_played_in_order_and_stops_at_the_first_failure(
    run: Run, folder: Path, centre: Simulator
) -> None:
    (folder / "day").mkdir()
    save(folder, message("quote"), "day/1.json")
    save(folder, {"intent": "settle", "settle_key": "K1"}, "day/2.json")
    save(folder, message("settle", fees=[line("F1", "1.00")]), "day/3.json")
    save(folder, message(settle_key="K2", visit_key="V2"), "day/4.json")
    ran = await run("settle", "day", "--json")
    assert ran.exit == 3
    assert [one.get("state") or one["code"] for one in ran.json] == ["QUOTED", "SETTLED", "KEY_REUSED"]
    assert len(centre.world.settlements) == 1


async def test_show_looks_while_another_process_writes(run: Run, folder: Path, centre: Simulator) -> None:
    await run("settle", save(folder, message()))
    rules = Announcing([{"infno": "2206", "actions": ["delay(3)"]}])
    centre.set_rules(rules)
    save(folder, message(settle_key="K2", visit_key="V2"), "second.json")
    settling = asyncio.create_task(run("settle", "second.json"))
    await rules.arrival("2206")
    shown = await run("show", "K1", "--json")
    assert (shown.exit, shown.json["state"]) == (0, "SETTLED"), shown.err
    assert (await settling).exit == 0


async def test_a_damaged_ledger_is_exit_7(run: Run, folder: Path) -> None:
    import sqlite3

    await run("settle", save(folder, message()))
    with sqlite3.connect(folder / "ledger.db") as writer:
        writer.execute("DROP TRIGGER IF EXISTS journal_is_append_only")
        triggers = writer.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            writer.execute(f'DROP TRIGGER "{name}"')
        writer.execute("UPDATE journal SET kind = 'TOLD' WHERE kind = 'INTENT'")
    writer.close()
    assert (await run("ledger", "verify", "--json")).exit == 7
    assert (await run("settle", "message.json")).exit == 7


async def test_commands_that_only_look(run: Run, folder: Path) -> None:
    await run("settle", save(folder, {}))
    (folder / "request.json").write_text(json.dumps({"infno": "2207", "input": {"data": {"psn_no": "T"}}}), "utf-8")
    told = await asyncio.gather(
        run("plugins", "--json"), run("standard", "show", "2207", "--json"),
        run("standard", "validate", "request.json", "--json"), run("doctor", "--json"),
    )  # fmt: skip
    plugins, shown, validated, doctor = told
    assert "national" in {one["name"] for one in plugins.json["plugins"]}
    assert plugins.json["broken"] == []
    assert (shown.exit, shown.json["infno"]) == (0, "2207")
    assert validated.exit == 3
    assert any(fault["path"].endswith("mdtrt_id") for fault in validated.json["faults"])
    assert doctor.exit == 0, doctor.out
    assert {"配置", "主密钥", "连接网关"} <= {row["check"] for row in doctor.json}


async def test_wrong_use_is_exit_2(run: Run, folder: Path) -> None:
    (folder / "his-adapter.toml").write_text("[institution]\nfixmedins_code = 1\nnonsense = true\n", "utf-8")
    ran = await run("settle", save(folder, message()))
    assert ran.exit == 2
    assert "nonsense" in ran.err
    assert (await run("settle")).exit == 2
    assert (await run("no-such-command")).exit == 2


async def test_a_key_nobody_knows_is_exit_3(run: Run, folder: Path) -> None:
    await run("settle", save(folder, {}))
    ran = await run("show", "NO-SUCH-KEY", "--json")
    assert (ran.exit, ran.json["code"]) == (3, "NO_SUCH_CASE")


def test_the_institution_is_fictional() -> None:
    assert (ORG[0], len(ORG)) == ("H", 12)
