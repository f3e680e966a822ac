"""``plugin check`` and ``plugin new``: for whoever writes a province plugin."""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

from adapter_core.cli.app import EXIT
from adapter_core.cli.showing import print_json, print_table
from adapter_core.values.errors import ConfigError

NEEDS_KIT = 'needs the test tools: pip install "his-adapter[kit]"'


def check(target: str, as_json: bool) -> int:
    """Every check of the plugin contract, with a report.  0 when all hold, 3 otherwise."""
    try:
        from adapter_core.testing.checking import Report, check_plugin
    except ModuleNotFoundError as missing:
        raise ConfigError(f"plugin check {NEEDS_KIT} ({missing.name} is missing)") from None
    if as_json:
        report = check_plugin(target)
        print_json(report.as_data())
    else:
        from rich.progress import Progress

        with Progress(transient=True) as progress:
            bar = progress.add_task(target, total=None)
            report = check_plugin(target, lambda done, of: progress.update(bar, completed=done, total=of))
        _print_report(report)
    assert isinstance(report, Report)
    return EXIT["bad_input"] if report.failed else EXIT["done"]


def _print_report(report: object) -> None:
    from adapter_core.testing.checking import Report

    assert isinstance(report, Report)
    print_table(
        f"{report.plugin}（{report.title}）本地接口",
        ("接口", "报文", "动作", "名称", "依据"),
        [
            (name, one["message"], one["verb"], one["title"], one["evidence"])
            for name, messages in report.dialects.items()
            for one in messages
        ],
    )
    print_table(
        "网关：逐项对模拟中心试过",
        ("网关", "情景", "结果"),
        [
            (name, scenario, {"passed": "通过"}.get(shown, shown))
            for name, gateway in report.gateways.items()
            for scenario, shown in gateway["scenarios"].items()
        ],
    )
    for gap in report.not_supported:
        print(f"不支持：{gap}")
    for one in report.failed:
        print(f"未通过 {one.name}\n    {one.text}", file=sys.stderr)
    counted = report.counted()
    print(f"{counted['passed']} 项通过，{counted['failed']} 项未通过，{counted['skipped']} 项跳过")


def new(name: str, folder: Path, region: str, title: str) -> int:
    """A plugin for plain national JSON that passes every check, to go on from."""
    try:
        from copier import run_copy
    except ModuleNotFoundError:
        raise ConfigError(f"plugin new {NEEDS_KIT}") from None
    if not name.isidentifier() or name != name.lower():
        raise ConfigError(f"{name!r}: a plugin's name is lower-case letters, digits and _, such as jiangxi")
    target = folder / name
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target} exists and is not empty")
    with as_file(files("adapter_core.testing") / "template") as template:
        run_copy(
            str(template), target, data={"name": name, "region": region, "title": title}, quiet=True, defaults=True
        )
    print(f"{target}\n下一步：pip install -e {target} && his-adapter plugin check {target}")
    return EXIT["done"]
