"""The commands for who writes or tries an interface: plugins, the standard, the simulated centre."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, app, run

plugin_app = typer.Typer(help="写省级插件 / write a province plugin.", no_args_is_help=True)

standard_app = typer.Typer(help="国家接口标准 / the national data standard.", no_args_is_help=True)


@app.command()
def plugins(as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """列出省份插件、接口、网关，以及未能加载的插件。

    例 / example: his-adapter plugins --json
    """
    from adapter_core.cli.inspecting import list_plugins

    sys.exit(list_plugins(config, as_json))


@plugin_app.command("check")
def plugin_check(target: str, as_json: JsonOption = False) -> None:
    """按插件合同逐项检查一个插件（名称或目录），并列出实测支持表。

    例 / example: his-adapter plugin check plugins/jiangxi
    """
    from adapter_core.cli.plugging import check

    sys.exit(check(target, as_json))


@plugin_app.command("new")
def plugin_new(
    name: str,
    region: Annotated[str, typer.Option("--region", help="省级区划代码 / six digits")],
    title: Annotated[str, typer.Option("--title", help="省份名称 / the province's name")],
    folder: Annotated[Path, typer.Option("--into", help="放在哪个目录下 / folder to put it in")] = Path(),
) -> None:
    """生成一个能通过全部检查的新插件（国家标准 JSON）。

    例 / example: his-adapter plugin new qinghai --region 630000 --title 青海省
    """
    from adapter_core.cli.plugging import new

    sys.exit(new(name, folder, region, title))


@app.command()
def translate(
    file: Path,
    source: Annotated[str, typer.Option("--from", help="来源接口名 / dialect the file is in")],
    target: Annotated[str, typer.Option("--to", help="目标接口名 / dialect wanted")] = "national",
    as_json: JsonOption = False,
) -> None:
    """把一条请求报文从一种接口翻译成另一种（不联网）。

    例 / example: his-adapter translate --from jiangxi-neusoft --to national 2620.request.txt
    """
    from adapter_core.cli.inspecting import translate_file

    sys.exit(translate_file(file, source, target, as_json))


@standard_app.command("show")
def standard_show(infno: str, as_json: JsonOption = False) -> None:
    """显示一个交易的字段表。

    例 / example: his-adapter standard show 2207
    """
    from adapter_core.cli.inspecting import show_transaction

    sys.exit(show_transaction(infno, as_json))


@standard_app.command("validate")
def standard_validate(
    file: Path,
    infno: Annotated[str, typer.Option(help="文件只有 input 时的交易编号 / number, for a bare input")] = "",
    as_json: JsonOption = False,
) -> None:
    """按国家标准检查一条报文，一次列出全部问题。

    例 / example: his-adapter standard validate request.json
    """
    from adapter_core.cli.inspecting import validate_message

    sys.exit(validate_message(file, infno, as_json))


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="端口，0 为自动 / port, 0 = any free one")] = 9090,
    seed: Annotated[int, typer.Option(help="随机种子 / seed")] = 1,
) -> None:
    """启动模拟医保中心，供离线演练。

    例 / example: his-adapter simulate --port 9090
    """
    from adapter_core.simulator.server import main as serve

    serve(["--port", str(port), "--seed", str(seed)])


@app.command()
def simtest(
    seed: Annotated[int, typer.Option(help="第一个种子 / first seed")] = 1,
    cases: Annotated[int | None, typer.Option(help="模拟天数，缺省 3000 / simulated days, 3000 by default")] = None,
    shrink: Annotated[bool, typer.Option(help="缩小失败的故障清单 / shrink the faults of a failure")] = False,
    workers: Annotated[int, typer.Option(help="进程数 / processes")] = 2,
    as_json: JsonOption = False,
) -> None:
    """确定性模拟：同一套结算内核在虚拟时间里经历随机故障，逐步检查不变量；失败时打印种子。

    例 / example: his-adapter simtest --seed 1 --cases 10000
    """
    from adapter_core.testing.simtest.run import main as simulate_days

    sys.exit(simulate_days(seed, cases, shrink, as_json, workers))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="演示数据目录 / where the demo keeps its ledger")] = Path("demo-run"),
    as_json: JsonOption = False,
) -> None:
    """演示：几个省的本地报文对模拟中心完成结算，含一次应答丢失与一次拒付。

    例 / example: his-adapter demo
    """
    from adapter_core.cli.demo import demo as play_demo

    run(play_demo(folder, as_json))
