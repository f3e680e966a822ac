"""The ``paper`` commands as the command line offers them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, run

paper_app = typer.Typer(help="手工报销材料与结算单 / manual-reimbursement papers and receipts.", no_args_is_help=True)
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="输出目录，缺省为配置旁的 papers / folder for the files")
]
SerialArgument = Annotated[str, typer.Argument(help="材料编号 / serial of the papers")]


@paper_app.command("open")
def paper_open(
    key: Annotated[str, typer.Argument(help="visit_key、settle_key 或 case_id")],
    reason: Annotated[str, typer.Option(help="未能直接结算的原因代码，缺省按中心答复 / reason, of the catalogue")] = "",
    situation: Annotated[list[str] | None, typer.Option(help="成立的情形，如 代办、意外伤害，可重复")] = None,
    region: Annotated[str, typer.Option(help="参保地区划（中心未返回时）/ place of insurance")] = "",
    message: Annotated[Path | None, typer.Option(help="从未结算过时，HIS 的结算报文 / the HIS's message")] = None,
    dialect: Annotated[str, typer.Option(help="该报文的接口名 / its dialect")] = "national",
    institution: Annotated[str, typer.Option(help="机构编码，服务于多个机构时须写明 / fixmedins_code")] = "",
    out: OutOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """为未能直接结算的就诊出具手工报销材料（PDF 和 JSON）；重复调用为补打。

    例 / example: his-adapter paper open V20261121-0001 --situation 代办
    """
    from adapter_core.cli.paper_counter import Asked
    from adapter_core.cli.papers import open_papers

    asked = Asked(reason, tuple(situation or ()), region, message, dialect, institution)
    run(open_papers(config, key, asked, out, as_json))


@paper_app.command("show")
def paper_show(
    serial: SerialArgument, out: OutOption = None, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """查看一套材料；加 --out 为补打，编号和内容不变。

    例 / example: his-adapter paper show LX26112100000017 --out reprint
    """
    from adapter_core.cli.papers import show_papers

    run(show_papers(config, serial, out, as_json))


@paper_app.command("revoke")
def paper_revoke(
    serial: SerialArgument,
    red_invoice: Annotated[str, typer.Option(help="红冲发票号 / number of the red invoice")],
    reason: Annotated[str, typer.Option(help="原因 / reason")],
    withdrawal: Annotated[str, typer.Option(help="已交件时，经办机构书面撤回证明 / the agency's withdrawal")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """收回并作废一套材料，之后可改为直接结算。

    例 / example: his-adapter paper revoke LX26112100000017 --red-invoice 红字00012345 --reason 已补备案
    """
    from adapter_core.cli.papers import step_papers

    order = {"red_invoice": red_invoice, "reason": reason, "withdrawal": withdrawal}
    run(step_papers(config, serial, "revoke", order, as_json))


@paper_app.command("submit")
def paper_submit(
    serial: SerialArgument,
    to: Annotated[str, typer.Option(help="交到哪里 / where it was handed in")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """登记材料已交参保地经办机构。

    例 / example: his-adapter paper submit LX26112100000017 --to 杭州市医保中心
    """
    from adapter_core.cli.papers import step_papers

    run(step_papers(config, serial, "submit", {"to": to}, as_json))


@paper_app.command("close")
def paper_close(
    serial: SerialArgument,
    result: Annotated[str, typer.Option(help="结果 / what came of it")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """登记手工报销已办结。

    例 / example: his-adapter paper close LX26112100000017 --result 已报销
    """
    from adapter_core.cli.papers import step_papers

    run(step_papers(config, serial, "close", {"result": result}, as_json))


@paper_app.command("verify")
def paper_verify(
    text: Annotated[str, typer.Argument(help="二维码内容或材料编号 / the scanned line, or a serial")],
    public_key: Annotated[
        Path | None, typer.Option(help="医院公钥文件：离线只验签名 / check the signature alone")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """核验一套材料：签名是否属实，是否已作废。无效时退出码为 4。

    例 / example: his-adapter paper verify LX26112100000017
    """
    from adapter_core.cli.papers import verify_papers

    run(verify_papers(config, text, public_key, as_json))


@paper_app.command("batch")
def paper_batch(
    serials: Annotated[list[str], typer.Argument(help="材料编号 / serials")],
    employer: Annotated[str, typer.Option(help="单位名称 / employer")],
    handed_to: Annotated[str, typer.Option(help="单位经办人 / who takes them along")] = "",
    out: OutOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """同一单位几名患者的材料打一张交接单。

    例 / example: his-adapter paper batch LX26112100000017 LX26112100000021 --employer 测试公司
    """
    from adapter_core.cli.papers import batch_papers

    run(batch_papers(config, serials, employer, handed_to, out, as_json))


@paper_app.command("slip")
def paper_slip(
    key: Annotated[str, typer.Argument(help="visit_key、settle_key 或 case_id")],
    out: OutOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """结果未知时打印待核查单（不是报销材料）。

    例 / example: his-adapter paper slip K20261121-0001
    """
    from adapter_core.cli.papers import hold_slip

    run(hold_slip(config, key, out))


@paper_app.command("receipt")
def paper_receipt(
    key: Annotated[str, typer.Argument(help="settle_key 或 case_id")],
    paper: Annotated[str, typer.Option(help="a4、a5 或 241（241mm 针打纯文本）")] = "a4",
    out: OutOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """打印已结算就诊的结算单；第二次起为补打并计数。

    例 / example: his-adapter paper receipt K20261121-0001 --paper a5
    """
    from adapter_core.cli.papers import print_receipt

    run(print_receipt(config, key, paper, out))
