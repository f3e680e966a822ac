"""``acceptance``: a bureau's cases against the configured test centre, with the report as PDF and XLSX."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from adapter_core.cli.app import EXIT
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.formats.sheets import write_excel
from adapter_core.operations.acceptance import Played, play_script, read_script, report_data, report_rows
from adapter_core.paperwork import rendering
from adapter_core.values.moments import national_time


def accept(config: Path, file: Path, out: Path, as_json: bool) -> int:
    """0 when every case was told what the script expects, else 3; the report is written either way."""
    from rich.progress import Progress

    site, script = load_config(config), read_script(file)
    with Progress(transient=True, disable=as_json) as progress:
        bar = progress.add_task(script.title, total=len(script.cases))
        played = asyncio.run(play_script(site, script, lambda one: progress.advance(bar)))
    at = national_time(datetime.now(UTC))
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"acceptance-{at[:10]}.{ending}" for ending in ("pdf", "xlsx")]
    files[0].write_bytes(rendering.pdf("acceptance", report_data(site, script, played, at)))
    files[1].write_bytes(write_excel(report_rows(played), "验收"))
    if as_json:
        print_json({"title": script.title, "cases": [_shown(one) for one in played], "files": list(map(str, files))})
    else:
        print_table(
            script.title,
            ("案例", "名称", "调用", "应为", "实为", "结果"),
            [
                (one.case.number, one.case.name, str(len(one.lines)), "、".join(one.case.hears), "、".join(one.heard),
                 "通过" if one.passed else "不符")
                for one in played
            ],
        )  # fmt: skip
        print("\n".join(map(str, files)))
    return EXIT["done"] if all(one.passed for one in played) else EXIT["bad_input"]


def _shown(one: Played) -> dict[str, object]:
    return {
        "number": one.case.number, "name": one.case.name, "passed": one.passed, "heard": one.heard,
        "calls": [{"infno": line.infno, "msgid": line.msgid, "result": line.result} for line in one.lines],
    }  # fmt: skip
