"""``his-adapter``: the command line.  Every command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from adapter_core.operations.machine import speak_utf8
from adapter_core.values.errors import (
    AdapterError,
    ConfigError,
    ContractError,
    LedgerDamaged,
    LedgerUnavailable,
    NotSent,
    NotSupported,
    Refused,
    TranslationError,
)

EXIT = {"done": 0, "usage": 2, "bad_input": 3, "rejected": 4, "not_sent": 5, "pending": 6, "damaged": 7}
STATE_EXIT = {
    "DONE": 0, "QUOTED": 0, "SETTLED": 0, "VOIDED": 0, "CANCELLED": 5, "REJECTED": 4, "NOT_APPLIED": 4, "REVERSED": 4,
    "NOT_SENT": 5, "PENDING": 6, "VOIDING": 6, "FROZEN": 6, "MANUAL_OPEN": 5, "MANUAL_SUBMITTED": 5, "MANUAL_CLOSED": 5,
    "MANUAL_REVOKED": 5,
}  # fmt: skip

app = typer.Typer(
    help="跨省异地就医直接结算适配器 / settles medical insurance beside a HIS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its traceback would show local values
    rich_markup_mode="rich",
)
standard_app = typer.Typer(help="国家接口标准 / the national data standard.", no_args_is_help=True)
ledger_app = typer.Typer(help="账本 / the ledger.", no_args_is_help=True)
app.add_typer(standard_app, name="standard")
app.add_typer(ledger_app, name="ledger")
plugin_app = typer.Typer(help="写省级插件 / write a province plugin.", no_args_is_help=True)
app.add_typer(plugin_app, name="plugin")
openings_app = typer.Typer(help="开通清单 / what is open for whom.", no_args_is_help=True)
app.add_typer(openings_app, name="openings")

catalogue_app = typer.Typer(help="医保目录 / the centre's catalogues.", no_args_is_help=True)
app.add_typer(catalogue_app, name="catalogue")
mapping_app = typer.Typer(help="项目对照 / the hospital's items and their national codes.", no_args_is_help=True)
app.add_typer(mapping_app, name="mapping")

user_app = typer.Typer(help="控制台用户 / the console's users.", no_args_is_help=True)
app.add_typer(user_app, name="user")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="配置文件 / configuration file", envvar="HIS_ADAPTER_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="输出 JSON / machine-readable output")]
DEFAULT_CONFIG = Path("his-adapter.toml")


def main() -> None:
    """Entry point: our own exceptions become one clear line and the exit codes of `contracts.md` §2."""
    speak_utf8()
    logging.basicConfig(
        level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s"
    )  # `doctor` shows the warnings
    try:
        app()
    except AdapterError as error:
        fail(error, "--json" in sys.argv)


def fail(error: AdapterError, as_json: bool) -> NoReturn:
    """Print an error for a person (or as JSON) and leave with its exit code."""
    from adapter_core.cli.showing import error_data, error_lines, print_json

    if as_json:
        print_json(error_data(error))
    else:
        for line in error_lines(error):
            print(line, file=sys.stderr)
    sys.exit(exit_code(error))


def exit_code(error: AdapterError) -> int:
    match error:
        case LedgerDamaged():
            return EXIT["damaged"]
        case TranslationError() | NotSupported() | Refused():
            return EXIT["bad_input"]
        case NotSent() | LedgerUnavailable():
            return EXIT["not_sent"]
        case ConfigError() | ContractError():
            return EXIT["usage"]
        case _:
            return EXIT["pending"]


def run(work: Coroutine[Any, Any, int]) -> NoReturn:
    sys.exit(asyncio.run(work))


@app.command()
def settle(
    files: Annotated[
        list[Path], typer.Argument(help="报文文件或目录，按先后顺序播放 / files or folders, played in order")
    ],
    dialect: Annotated[str, typer.Option(help="本地接口名，见 plugins / dialect, see `plugins`")] = "national",
    config: ConfigOption = DEFAULT_CONFIG,
    wait: Annotated[float | None, typer.Option(help="最长等待秒数 / longest wait in seconds")] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(help="只有工作站知道的内容，名=值，如读卡器读出的卡号 / what only the workstation knows"),
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="把应答原始字节写到此目录 / write the answers' bytes into this folder")
    ] = None,
    institution: Annotated[
        str, typer.Option(help="机构编码，本机服务于多个机构时须写明 / fixmedins_code, where several are served")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """把本地报文送去结算，并以同样格式显示应答。

    例 / example: his-adapter settle --dialect jiangxi-neusoft 2620.request.txt
    """
    from adapter_core.cli.playing import play

    run(play(config, dialect, files, wait, side or [], answers, as_json, institution))


@app.command()
def rehearse(
    day: Annotated[str, typer.Option(help="重放哪一天，yyyy-MM-dd / the recorded day")],
    gateway: Annotated[str, typer.Option(help="走哪个网关：[gateways.NAME] 的 NAME / over which gateway")],
    config: ConfigOption = DEFAULT_CONFIG,
    institution: Annotated[str, typer.Option(help="机构编码，服务于多个机构时须写明 / fixmedins_code")] = "",
    against: Annotated[str, typer.Option(help="测试中心地址；缺省为模拟中心 / a test centre's address")] = "",
    path: Annotated[
        str | None, typer.Option(help="网关在模拟中心的路径；缺省同配置地址 / its path at the simulated centre")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """演练：把某天的业务（换成虚构人员）在另一条线路上重放，列出不同之处；不动正式账本，不送正式中心。

    例 / example: his-adapter rehearse --day 2026-11-20 --gateway new
    """
    from adapter_core.cli.rehearsing import rehearse as play_again

    run(play_again(config, day, gateway, institution, against, path, as_json))


@app.command()
def void(
    key: Annotated[str, typer.Argument(help="settle_key，或查询到的 case_id")],
    config: ConfigOption = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="退费原因 / reason")] = "",
    as_json: JsonOption = False,
) -> None:
    """退费：撤销一笔已成功的结算。

    例 / example: his-adapter void V20261121-0001
    """
    from adapter_core.cli.playing import void_case

    run(void_case(config, key, reason, as_json))


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="settle_key、void_key 或 case_id")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """显示一笔业务的状态、金额和全部步骤（只读账本，不联系中心）。

    例 / example: his-adapter show V20261121-0001
    """
    from adapter_core.cli.playing import show_case

    run(show_case(config, key, as_json))


@app.command()
def cases(
    state: Annotated[
        list[str] | None, typer.Option(help="只列这些状态，可重复；缺省为等人处理和未决的 / states to list, repeatable")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """列出业务，缺省列出结果未知和待人工核定的。

    例 / example: his-adapter cases --state FROZEN
    """
    from adapter_core.cli.deciding import list_cases

    run(list_cases(config, state or [], as_json))


@app.command()
def resolve(
    forever: Annotated[
        bool,
        typer.Option(
            "--forever/--until-done", help="一直核实下去，或到没有未决业务为止 / for ever, or until none is left"
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """持续核实结果未知的业务，每有变化显示一行；接口程序卡死时自动重启工作进程。

    例 / example: his-adapter resolve --forever --config his-adapter.toml
    """
    from adapter_core.cli.resolving import resolve_cases

    run(resolve_cases(config, forever, as_json))


@app.command()
def decide(
    key: Annotated[str, typer.Argument(help="settle_key、void_key 或 case_id")],
    outcome: Annotated[str, typer.Option("--as", help="settled | not_applied | reversed | recheck")],
    operator: Annotated[str, typer.Option(help="裁定人 / who decides")],
    reason: Annotated[str, typer.Option(help="理由 / why")],
    proof: Annotated[Path, typer.Option(help="依据文件，其摘要记入账本 / the proof; its digest is journalled")],
    second: Annotated[str, typer.Option(help="复核人，金额超限时必填 / second operator")] = "",
    result: Annotated[
        list[str] | None, typer.Option(help="settled 时的字段=值：setl_id、medfee_sumamt … / fields when settled")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """裁定一笔待人工核定（FROZEN）的业务，记下姓名、理由和依据。

    例 / example: his-adapter decide K1 --as not_applied --operator 测试主任 --reason 中心书面答复 --proof reply.pdf
    """
    from adapter_core.cli.deciding import decide_case

    run(decide_case(config, key, outcome, operator, reason, proof, second, result or [], as_json))


@app.command()
def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """启动 HTTP 服务，HIS 由此办理结算；收到停止信号后先办完手上的业务再退出。

    例 / example: his-adapter serve --config his-adapter.toml
    """
    from adapter_core.cli.serving import serve_config

    sys.exit(serve_config(config))


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


@app.command()
def plugins(as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """列出省份插件、接口、网关，以及未能加载的插件。

    例 / example: his-adapter plugins --json
    """
    from adapter_core.cli.inspecting import list_plugins

    sys.exit(list_plugins(config, as_json))


@app.command()
def acceptance(
    script: Annotated[Path, typer.Option("--script", help="验收案例清单（TOML）/ the list of cases")],
    out: Annotated[Path, typer.Option("--out", help="报告放在哪个目录 / folder for the report")] = Path("acceptance"),
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """按验收清单逐案对测试中心试过，写出 PDF 和 XLSX 验收报告（人员信息已遮盖）。

    例 / example: his-adapter acceptance --script cases.toml
    """
    from adapter_core.cli.accepting import accept

    sys.exit(accept(config, script, out, as_json))


@openings_app.command("import")
def openings_import(
    file: Path,
    keep: Annotated[bool, typer.Option("--keep", help="使用这份清单 / make it the site's")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """比较一份新的开通清单（CSV 或 Excel）与现用的有何不同；加 --keep 才换用。

    例 / example: his-adapter openings import 开通清单.xlsx --keep
    """
    from adapter_core.cli.openings import import_openings

    sys.exit(import_openings(config, file, keep, as_json))


@openings_app.command("show")
def openings_show(
    insured: Annotated[str, typer.Option("--insured", help="参保地区划 / six digits")],
    kind: Annotated[str, typer.Option("--kind", help="outpatient | inpatient | pharmacy")] = "outpatient",
    day: Annotated[str, typer.Option("--date", help="yyyy-MM-dd，缺省今天 / default today")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """某参保地的人在本院，这一天由哪个方案结算。

    例 / example: his-adapter openings show --insured 330100 --kind outpatient
    """
    from adapter_core.cli.openings import show_serving

    sys.exit(show_serving(config, insured, kind, day, as_json))


@catalogue_app.command("download")
def catalogue_download(
    numbers: Annotated[list[str], typer.Argument(help="1301 … 1319，1901 为本地字典；可多个 / one or more numbers")],
    whole: Annotated[bool, typer.Option("--whole", help="从头全量下载 / everything anew")] = False,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="按页查询的目录另加的条件，字段=值 / further conditions")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """下载医保目录（有进度条，中断后再次运行会接着下载），并列出新增、变更、停用的行数。

    例 / example: his-adapter catalogue download 1301 1305
    """
    from adapter_core.cli.catalogues import download

    run(download(config, numbers, whole, given or [], as_json))


@catalogue_app.command("diff")
def catalogue_diff(
    infno: str,
    number: Annotated[int, typer.Option("--download", help="哪次下载，缺省最近一次 / which, the last by default")] = 0,
    most: Annotated[int, typer.Option("--rows", help="最多列几行 / most rows")] = 200,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """一次下载改变了目录的哪些行。

    例 / example: his-adapter catalogue diff 1301
    """
    from adapter_core.cli.catalogues import show_diff

    sys.exit(show_diff(config, infno, number, most, as_json))


@catalogue_app.command("show")
def catalogue_show(
    code: Annotated[
        str, typer.Argument(help="医疗目录编码；不给则列出已下载的目录 / a code; none lists the catalogues")
    ] = "",
    infno: Annotated[str, typer.Option("--in", help="只在这个目录里找 / only in this one")] = "",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """列出已下载的目录和未完成的下载，或查一个编码。

    例 / example: his-adapter catalogue show XA00000001
    """
    from adapter_core.cli.catalogues import show_catalogues

    sys.exit(show_catalogues(config, code, infno, as_json))


@mapping_app.command("import")
def mapping_import(
    file: Path,
    keep: Annotated[bool, typer.Option("--keep", help="使用这份对照表 / make it the site's")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """比较一份新的项目对照表（CSV 或 Excel）与现用的有何不同；加 --keep 才换用。

    例 / example: his-adapter mapping import 对照表.xlsx --keep
    """
    from adapter_core.cli.item_mapping import import_items

    sys.exit(import_items(config, file, keep, as_json))


@mapping_app.command("export")
def mapping_export(file: Path, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """把现用的项目对照表写成 CSV 或 Excel（按文件名后缀）。

    例 / example: his-adapter mapping export 对照表.xlsx
    """
    from adapter_core.cli.item_mapping import export_items

    sys.exit(export_items(config, file))


@mapping_app.command("coverage")
def mapping_coverage(
    day: Annotated[str, typer.Option("--date", help="yyyy-MM-dd，缺省今天 / default today")] = "",
    most: Annotated[int, typer.Option("--rows", help="每张清单最多几行 / most rows of each list")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """本院项目有多少、按金额有多大比例已对照，还差哪些（金额大的在前）。

    例 / example: his-adapter mapping coverage
    """
    from adapter_core.cli.item_mapping import show_coverage

    sys.exit(show_coverage(config, day, most, as_json))


@mapping_app.command("upload")
def mapping_upload(
    send: Annotated[bool, typer.Option("--send", help="真正上传；缺省只列出 / really send")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """把对照表与中心已有的差别上传（3301）、撤销（3302）；缺省只列出要做什么。

    例 / example: his-adapter mapping upload --send
    """
    from adapter_core.cli.item_mapping import upload_items

    run(upload_items(config, send, as_json))


@app.command()
def read(
    infno: Annotated[str, typer.Argument(help="查询类交易编号 / number of a read transaction")],
    given: Annotated[list[str] | None, typer.Option("--set", help="字段=值，可重复 / field=value")] = None,
    file: Annotated[
        Path | None, typer.Option("--input", help="input 节点的 JSON 文件 / JSON file of the input")
    ] = None,
    insured: Annotated[str, typer.Option("--insured", help="参保地区划 / six digits")] = "",
    whole: Annotated[bool, typer.Option("--all-pages", help="分页的查询读完所有页 / every page")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="9102 的文件写到哪里 / where to write a file")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """向医保中心查询（51xx–54xx、13xx、1901 等查询类交易），没有应答会自动重试。

    例 / example: his-adapter read 5303 --set begntime=2026-11-01 --set endtime=2026-11-21
    """
    from adapter_core.cli.reading import read_transaction

    run(read_transaction(config, infno, given or [], file, insured, whole, out, as_json))


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
def eligibility(
    file: Annotated[Path, typer.Argument(help="JSON：person、visit、settle、stated …，同 POST /v1/eligibility")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """能否直接结算；不能时说明原因、到哪里办、下一步怎么做。只查询，不登记。

    例 / example: his-adapter eligibility person.json
    """
    from adapter_core.cli.eligibility import ask

    run(ask(config, file, as_json))


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


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="新站点的目录 / folder of the new site")],
    code: Annotated[str, typer.Option(help="定点医药机构编码 / fixmedins_code")] = "H00000000001",
    name: Annotated[str, typer.Option(help="定点医药机构名称 / fixmedins_name")] = "测试医院",
    region: Annotated[str, typer.Option(help="就医地医保区划 / admdvs")] = "360100",
    gateway: Annotated[str, typer.Option(help="网关地址 / gateway's URL")] = "http://127.0.0.1:9090/fsi/api",
    kind: Annotated[str, typer.Option(help="网关种类，见 plugins / gateway kind")] = "national",
    environment: Annotated[str, typer.Option(help="test 或 production")] = "test",
    plain_http: Annotated[
        str, typer.Option(help="接受明文 http 的理由 / why http:// is accepted; 本机地址有缺省理由")
    ] = "",
    ledger: Annotated[str, typer.Option(help="postgresql://…；缺省为目录内的 SQLite 账本")] = "",
) -> None:
    """建立一个站点：带注释的配置、仅属主可读的密钥、账本。

    例 / example: his-adapter init hospital --code H36010000001 --name 测试医院 --region 360100
    """
    from adapter_core.cli.installing import initialise
    from adapter_core.operations.site import NewSite

    sys.exit(initialise(folder, NewSite(code, name, region, gateway, kind, environment, plain_http, ledger)))


@app.command()
def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="只列密钥清单（密评用），不显示密钥 / inventory of keys")
    ] = False,
) -> None:
    """检查配置、插件、密钥、账本、磁盘，并做一次无害的连接试探。

    例 / example: his-adapter doctor --config his-adapter.toml
    """
    from adapter_core.cli.inspecting import examine, list_keys

    if keys:
        sys.exit(list_keys(config, as_json))

    run(examine(config, as_json))


@app.command()
def golive(
    check: Annotated[bool, typer.Option("--check", help="逐项检查，不改动任何东西 / check, change nothing")] = False,
    backups: Annotated[Path | None, typer.Option(help="备份目录，缺省为配置旁的 backups / folder of backups")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """上线前检查：环境、机构、网关、凭据、见证、锚点、告警、备份、恢复演练，全部通过才可上线。

    例 / example: his-adapter golive --check
    """
    from adapter_core.cli.operating import check_golive

    run(check_golive(config, check, backups, as_json))


@app.command()
def upgrade(
    rehearsal: Annotated[
        bool, typer.Option("--rehearse", help="只在副本上演练，不停服务 / on a copy, beside the service")
    ] = False,
    backups: Annotated[Path | None, typer.Option(help="备份目录，缺省为配置旁的 backups / folder of backups")] = None,
    stop: Annotated[str, typer.Option(help="停止服务的命令，如 systemctl stop his-adapter")] = "",
    start: Annotated[str, typer.Option(help="启动服务的命令 / the command that starts the service")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """装好新版本后升级账本：停服务（办完在途业务）、备份、升级、核验链条、启动。

    例 / example: his-adapter upgrade --rehearse
    """
    from adapter_core.cli.operating import upgrade_site

    sys.exit(upgrade_site(config, rehearsal, backups, stop, start))


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


@ledger_app.command("verify")
def ledger_verify(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """核验账本的完整链条；损坏时退出码为 7。

    例 / example: his-adapter ledger verify
    """
    from adapter_core.cli.inspecting import verify_ledger

    sys.exit(verify_ledger(config, as_json))


@ledger_app.command("export")
def ledger_export(
    config: ConfigOption = DEFAULT_CONFIG,
    unsealed: Annotated[
        bool, typer.Option(help="解密内容；此次查阅会记入账本 / decrypt; the reading is journalled")
    ] = False,
) -> None:
    """导出账本事件，每行一个 JSON。

    例 / example: his-adapter ledger export > events.jsonl
    """
    from adapter_core.cli.inspecting import export_ledger

    sys.exit(export_ledger(config, unsealed))


@ledger_app.command("forget-witness")
def ledger_forget_witness(
    name: Annotated[
        str, typer.Argument(help="见证文件的名字，见报错信息 / the witness's name, as the refusal says it")
    ],
    operator: Annotated[str, typer.Option("--as", help="操作人姓名 / who says so")],
    reason: Annotated[str, typer.Option(help="理由 / why")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """多副本时，某台已永久停用、见证文件已丢失：不再等它核对账本；姓名和理由记入账本。

    例 / example: his-adapter ledger forget-witness 0f3c… --as 测试操作员 --reason 主机报废
    """
    from adapter_core.cli.deciding import forget_witness

    sys.exit(asyncio.run(forget_witness(config, name, operator, reason)))


@ledger_app.command("backup")
def ledger_backup(
    folder: Annotated[Path | None, typer.Argument(help="备份目录，缺省为配置旁的 backups / folder of backups")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """在线备份 SQLite 账本，服务照常运行；备份件先核验再定名。

    例 / example: his-adapter ledger backup /backup/his-adapter
    """
    from adapter_core.cli.operating import backup_ledger

    sys.exit(backup_ledger(config, folder, as_json))


@ledger_app.command("drill")
def ledger_drill(
    backup: Annotated[Path, typer.Argument(help="备份文件 / a backup")],
    master_key: Annotated[
        Path | None, typer.Option(help="离线保存的主密钥副本，证明它可用 / the copy of the key kept elsewhere")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """恢复演练：在临时目录里恢复一份备份并核验，不动在用账本。

    例 / example: his-adapter ledger drill backups/ledger-20261121-020000.db --master-key /safe/master.key
    """
    from adapter_core.cli.operating import drill_restore

    sys.exit(drill_restore(config, backup, master_key, as_json))


@ledger_app.command("archive")
def ledger_archive(
    year: Annotated[int | None, typer.Option(help="年份，北京时间 / the year, China time")] = None,
    folder: Annotated[Path | None, typer.Option(help="归档目录，缺省为配置旁的 archive / folder of archives")] = None,
    verify: Annotated[Path | None, typer.Option(help="核验一个归档件 / verify an archive instead")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """把一年的账目另存为可单独核验的归档件；账本只增不删。

    例 / example: his-adapter ledger archive --year 2026
    """
    from adapter_core.cli.operating import archive_ledger, check_archive

    if (year is None) == (verify is None):
        raise ConfigError("one of --year and --verify")
    if verify is not None:
        sys.exit(check_archive(config, verify, as_json))
    sys.exit(archive_ledger(config, year or 0, folder, as_json))


PasswordOption = Annotated[
    bool,
    typer.Option("--password", help="自己输入初始密码（或从标准输入读一行）/ type it, or one line on standard input"),
]


@user_app.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="用户名 / user name")],
    role: Annotated[
        list[str], typer.Option("--role", help="cashier | operator | auditor | admin，可重复 / repeatable")
    ],
    title: Annotated[str, typer.Option("--title", help="姓名，记入账本 / the person's own name")] = "",
    password: PasswordOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """新增控制台用户，显示一次初始密码；服务运行时也可用。

    例 / example: his-adapter user add li --role operator --title 测试操作员
    """
    from adapter_core.cli.staffing import add_user

    sys.exit(add_user(config, name, role, title, password))


@user_app.command("list")
def user_list(as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """列出控制台用户、角色和状态。

    例 / example: his-adapter user list
    """
    from adapter_core.cli.staffing import list_users

    sys.exit(list_users(config, as_json))


@user_app.command("password")
def user_password(name: str, password: PasswordOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """重置一名用户的密码，结束其全部会话并解除锁定。

    例 / example: his-adapter user password li
    """
    from adapter_core.cli.staffing import reset_password

    sys.exit(reset_password(config, name, password))


@user_app.command("off")
def user_off(name: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """停用一名用户，立即结束其全部会话。

    例 / example: his-adapter user off li
    """
    from adapter_core.cli.staffing import switch_user

    sys.exit(switch_user(config, name, off=True))


@user_app.command("on")
def user_on(name: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """重新启用一名用户。

    例 / example: his-adapter user on li
    """
    from adapter_core.cli.staffing import switch_user

    sys.exit(switch_user(config, name, off=False))
