"""``his-adapter demo``: visits of several old interfaces against the simulated centre, the same figures on every run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.bootstrap.site import plugins as loaded_plugins
from adapter_core.cli.demo.closing import closed_day, show_closing
from adapter_core.cli.paper_counter import printed
from adapter_core.cli.papers import save
from adapter_core.cli.playing import Played, play_message
from adapter_core.cli.showing import STATE_ZH, print_json, print_table
from adapter_core.config import load_config
from adapter_core.ledger.sealing import create_master_key
from adapter_core.settlement.amounts import amounts
from adapter_core.values.copies import replace
from adapter_core.values.errors import ConfigError

DATA = files("adapter_core.cli.demo")

CONFIG = """\
environment = "test"

[institution]
fixmedins_code = "{fixmedins_code}"
fixmedins_name = "{title}"
admdvs = "{admdvs}"

[ledger]
url = "sqlite:///{name}.db"
master_key_file = "keys/master.key"

[gateway]
kind = "{gateway}"
url = "{url}{path}"
plain_http = "演示：模拟中心在本机"
query_after_unknown = "by_visit"
late_commit_evidence = "演示：模拟中心没有迟到的提交"

[gateway.secret_files]
{secrets}

[timers]
query_steps = [0.2, 0.5, 1]
late_commit = 31
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One visit of the demonstration and how its last message ended."""

    title: str
    dialect: str
    played: list[Played]
    explained: str = ""
    papers: str = ""
    paper_files: tuple[Path, ...] = ()

    @property
    def last(self) -> Played:
        return self.played[-1]

    @property
    def state(self) -> str:
        return self.last.outcome.state if self.last.outcome else ""


async def demo(folder: Path, as_json: bool) -> int:
    """Returns 0 when every visit ended as the script means it to."""
    script = tomllib.loads((DATA / "visits.toml").read_text("utf-8"))
    loaded = loaded_plugins()
    known = {*loaded.dialect_names(), *loaded.gateway_names()}
    visits = [
        visit for visit in script["visit"] if {visit["dialect"], script["place"][visit["place"]]["gateway"]} <= known
    ]
    skipped = [visit["title"] for visit in script["visit"] if visit not in visits]
    _clear(folder)
    shown = []
    async with simulated_centre() as url:
        _write_configs(folder, script["place"], url)
        for number, visit in enumerate(visits, 1):
            if not as_json:
                print(f"[{number}/{len(visits)}] {visit['title']}（{visit['dialect']}）", flush=True)
            if visit.get("rules"):
                await asyncio.to_thread(_control, url, "rules", visit["rules"])
            async with adapter(load_config(folder / f"{visit['place']}.toml")) as running:
                shown.append(await _play(running, visit, folder))
            if visit.get("rules"):
                await asyncio.to_thread(_control, url, "rules", [])
        places = dict.fromkeys(visit["place"] for visit in visits)
        days = [day for place in places if (day := await closed_day(folder / f"{place}.toml")) is not None]
    missed = [
        f"{one.title}：应为 {wanted}，实为 {one.state}"
        for one, wanted in zip(shown, (visit.get("ends", "SETTLED") for visit in visits), strict=True)
        if one.state != wanted
    ]
    _report(shown, skipped, days, folder, as_json)
    for text in missed:
        print(text, file=sys.stderr)
    return 1 if missed else 0


def _clear(folder: Path) -> None:
    """An earlier demonstration's folder is made anew; anything else is left alone."""
    marker = folder / ".his-adapter-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ConfigError(f"{folder} is not empty and not a demo folder; choose another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "keys").mkdir(parents=True)
    marker.touch()
    create_master_key(folder / "keys" / "master.key")


def _write_configs(folder: Path, places: dict[str, Any], url: str) -> None:
    for name, place in places.items():
        lines = []
        for secret, text in place["secrets"].items():
            path = folder / "keys" / f"{name}.{secret}"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            lines.append(f'{secret} = "keys/{path.name}"')
        (folder / f"{name}.toml").write_text(
            CONFIG.format(**{**place, "name": name, "url": url, "secrets": "\n".join(lines)}), "utf-8"
        )


@asynccontextmanager
async def simulated_centre() -> AsyncIterator[str]:
    """A simulated centre in a process of its own; gives its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapter_core.simulator", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().strip()
        yield f"http://{line.rsplit(' ', 1)[-1]}"
    finally:
        process.terminate()
        await process.wait()


def _control(url: str, what: str, body: object) -> None:
    data = json.dumps(body).encode()
    urlopen(Request(f"{url}/_sim/{what}", data=data, headers={"Content-Type": "application/json"})).read()


async def _play(running: Adapter, visit: dict[str, Any], folder: Path) -> Shown:
    dialect = running.dialect(visit["dialect"])
    played = []
    for name in visit["messages"]:
        raw = DATA.joinpath("messages", *name.split("/")).read_bytes()
        played.append(await play_message(running, dialect, name.rsplit("/", 1)[-1], raw, visit.get("wait_s")))
    last = played[-1].outcome
    funds = last.content.get("funds", []) if last and visit.get("shows") else []
    explained = funds[0].get("setl_proc_info", "") if funds else ""
    shown = Shown(visit["title"], visit["dialect"], played, explained)
    return await _with_papers(running, shown, folder / "papers") if visit.get("papers") and last else shown


async def _with_papers(running: Adapter, shown: Shown, folder: Path) -> Shown:
    """What the patient brings home where nothing could be settled."""
    assert shown.last.outcome is not None
    case = await running.ledger.case(shown.last.outcome.content["case"]["case_id"])
    assert case is not None
    try:
        made = await running.office().open(case.visit_key)
        files = save((await printed(made)).files, folder)
    except ConfigError as error:  # without the extra `papers` everything else still shows
        return replace(shown, papers=str(error))
    return replace(shown, papers=f"已出具手工报销材料，编号 {made.serial}", paper_files=tuple(files))


def _row(shown: Shown) -> tuple[str, ...]:
    outcome = shown.last.outcome
    if outcome is None:
        return (shown.title, shown.dialect, "-", "-", "-", "-", "未发送")
    result = outcome.content.get("result")
    told = amounts(result) if result else None
    figures = (told.total, told.fund, told.account, told.cash) if told else ("-",) * 4
    state = STATE_ZH.get(outcome.state, outcome.state) + ("→ 手工报销材料" if shown.paper_files else "")
    if outcome.content.get("case", {}).get("closed_by"):
        state += "（应答丢失，查询后认领，未重复）"
    return (shown.title, shown.dialect, *map(str, figures), state)


def _report(shown: list[Shown], skipped: list[str], days: list[dict[str, Any]], folder: Path, as_json: bool) -> None:
    columns = ("就诊", "本地接口", "总额", "基金", "个人账户", "现金", "结果")
    if as_json:
        keys = ("title", "dialect", "total", "fund", "account", "cash", "state_zh")
        rows = [
            {
                **dict(zip(keys, _row(one), strict=True)),
                "state": one.last.outcome.state if one.last.outcome else one.last.error and one.last.error.code,
                "message_zh": one.last.outcome.message_zh if one.last.outcome else "",
                "papers": [str(path) for path in one.paper_files],
            }
            for one in shown
        ]
        closing = [
            {
                **{name: day[name] for name in ("title", "run")},
                "dues": day["dues"]["receivables"],
                "files": list(map(str, day["files"])),
            }
            for day in days
        ]
        print_json({"visits": rows, "skipped": skipped, "closing": closing})
        return
    print_table("", columns, map(_row, shown))
    for one in shown:
        text = one.last.outcome.message_zh if one.last.outcome else str(one.last.error)
        print(f"{one.title}：{text}")
        if one.explained:
            print(f"    {one.explained}")
        if one.papers:
            print(f"    {one.papers}", *(f"    {path}" for path in one.paper_files), sep="\n")
    show_closing(days)
    for title in skipped:
        print(f"跳过（插件未安装）：{title}")
    print(f"账本和配置在 {folder}；查看一笔：his-adapter show --config {folder / 'shanghai.toml'} K20261121-0103")
