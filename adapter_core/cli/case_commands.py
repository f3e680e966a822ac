"""The commands for cases, from the first question to a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, app, run


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
def unfiled(
    refresh: Annotated[
        list[str] | None,
        typer.Option(help="先向中心重新查询这些就诊号，可重复 / encounter keys to ask about again first, repeatable"),
    ] = None,
    refresh_all: Annotated[
        bool, typer.Option("--refresh-all", help="先重新查询清单上的每一个 / ask about everybody on the list first")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    institution: Annotated[
        str, typer.Option(help="机构编码，本机服务于多个机构时须写明 / fixmedins_code, where several are served")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """列出没有有效备案的异地住院患者：要办什么、何时之前办。只查询，不登记。

    例 / example: his-adapter unfiled --refresh-all
    """
    from adapter_core.cli.late_filings import list_unfiled

    run(list_unfiled(config, refresh or [], refresh_all, institution, as_json))


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
