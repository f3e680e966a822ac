"""The accounts' commands as the command line offers them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, app, run

accounts_app = typer.Typer(help="对账、清算、应收、监管 / the accounts.", no_args_is_help=True)
DateOption = Annotated[str, typer.Option("--date", help="业务日 yyyy-MM-dd / business day")]
MonthOption = Annotated[str, typer.Option("--month", help="月份 yyyy-MM / month")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="写成 .pdf、.xlsx 或 .csv / file to write")]
OpterOption = Annotated[str, typer.Option(help="只看一名收费员 / one operator's part")]
InstitutionOption = Annotated[str, typer.Option(help="机构编码，服务于多个机构时须写明 / fixmedins_code")]
AllOption = Annotated[bool, typer.Option("--all", help="包括已了结的 / those that ended, too")]
TypeOption = Annotated[str, typer.Option("--clr-type", help="清算类别 clr_type：11 门诊、21 住院、41 药店")]
FileArgument = Annotated[Path, typer.Argument(help="CSV 或 Excel，首行为标题 / with a heading")]
OperatorOption = Annotated[str, typer.Option(help="经办人 / who")]
ReasonOption = Annotated[str, typer.Option(help="理由 / why")]


@app.command()
def reconcile(
    date: DateOption,
    detail: Annotated[bool, typer.Option("--detail", help="总账相符也下载明细 / fetch the file anyway")] = False,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """与医保中心对一天的账：总账不平时下载明细，逐笔找出差异并处理；重复运行不会重复处理。

    例 / example: his-adapter reconcile --date 2026-11-21
    """
    from adapter_core.cli.accounting import reconcile as work

    run(work(config, institution, date, detail, as_json))


@app.command()
def dayend(
    date: DateOption,
    opter: OpterOption = "",
    out: OutOption = None,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """日结：按收费员、班次、终端汇总，合计与账本分文不差；.pdf 供打印签字。

    例 / example: his-adapter dayend --date 2026-11-21 --out dayend.pdf
    """
    from adapter_core.cli.accounting import day_end

    run(day_end(config, institution, date, opter, out, as_json))


@accounts_app.command("differences")
def differences(
    date: Annotated[str, typer.Option("--date", help="只看这一天 / of one day")] = "",
    everything: AllOption = False,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """列出未了结的差异和告警。

    例 / example: his-adapter accounts differences --date 2026-11-21
    """
    from adapter_core.cli.accounting import listing

    run(listing(config, institution, "differences", {"date": date, "all": everything}, as_json))


@accounts_app.command("close")
def close(
    item: Annotated[str, typer.Argument(help="事项编号 / item")],
    operator: OperatorOption,
    reason: ReasonOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """了结一项差异、告警或监管提示，记下是谁、为什么。

    例 / example: his-adapter accounts close 3f2a… --operator 测试主任 --reason 药房终端结算，已核实
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "close", {"item_id": item, "operator": operator, "reason": reason}, as_json))


@accounts_app.command("receivables")
def receivables(
    month: Annotated[str, typer.Option("--month", help="只看这个月 / of one month")] = "",
    out: OutOption = None,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """各参保地按月、按方案应付本院多少，已收、扣款、账龄，以及预付金使用率。

    例 / example: his-adapter accounts receivables --month 2026-11
    """
    from adapter_core.cli.accounting import receivable

    run(receivable(config, institution, month, out, as_json))


@accounts_app.command("bank")
def bank(
    file: FileArgument,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """导入银行到账明细（日期、金额、流水号、付款方、摘要）；金额唯一对应的自动核销。

    例 / example: his-adapter accounts bank 到账.xlsx
    """
    from adapter_core.cli.accounting import imported

    run(imported(config, institution, "bank", file, {}, as_json))


@accounts_app.command("payments")
def payments(
    everything: AllOption = False,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """列出未核销的到账；加 --all 包括已核销的和扣款。

    例 / example: his-adapter accounts payments
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "payments", {"all": everything}, as_json))


@accounts_app.command("match")
def match(
    item: Annotated[str, typer.Argument(help="到账编号 / bank line")],
    month: MonthOption,
    operator: OperatorOption,
    region: Annotated[str, typer.Option(help="参保地区划，缺省为该月全部 / place of insurance")] = "",
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """人工核销一笔到账：付的是哪个月、哪个参保地；多于未收的不受理。

    例 / example: his-adapter accounts match 3f2a… --month 2026-10 --region 330100 --operator 测试主任
    """
    from adapter_core.cli.accounting import plain

    order = {"item_id": item, "month": month, "insuplc_admdvs": region, "operator": operator}
    run(plain(config, institution, "match", order, as_json))


@accounts_app.command("unbook")
def unbook(
    item: Annotated[str, typer.Argument(help="到账或扣款编号 / bank line or deduction")],
    operator: OperatorOption,
    reason: ReasonOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """撤销一笔核销，或作废一笔扣款登记。

    例 / example: his-adapter accounts unbook 3f2a… --operator 测试主任 --reason 核销错月份
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "unbook", {"item_id": item, "operator": operator, "reason": reason}, as_json))


@accounts_app.command("deduct")
def deduct(
    month: MonthOption,
    amount: Annotated[str, typer.Option(help="扣款金额（元）/ yuan")],
    operator: OperatorOption,
    reason: ReasonOption,
    region: Annotated[str, typer.Option(help="参保地区划，缺省为全部 / place of insurance")] = "",
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """登记一笔审核扣款。

    例 / example: his-adapter accounts deduct --month 2026-10 --amount 120.00 --operator 测试主任 --reason 审核扣款通知
    """
    from adapter_core.cli.accounting import plain

    order = {"month": month, "amount": amount, "operator": operator, "reason": reason, "insuplc_admdvs": region}
    run(plain(config, institution, "deduct", order, as_json))


@accounts_app.command("apply")
def apply(
    month: MonthOption,
    clr_type: TypeOption,
    anyway: Annotated[str, typer.Option(help="仍有差异时申报的理由 / why, while differences stand")] = "",
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """清算申请（3203）：一月一类只发一次。

    例 / example: his-adapter accounts apply --month 2026-11 --clr-type 11
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "apply", {"month": month, "clr_type": clr_type, "anyway": anyway}, as_json))


@accounts_app.command("withdraw")
def withdraw(
    month: MonthOption,
    clr_type: TypeOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """撤销清算申请（3204）。

    例 / example: his-adapter accounts withdraw --month 2026-11 --clr-type 11
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "withdraw", {"month": month, "clr_type": clr_type}, as_json))


@accounts_app.command("clear")
def clear(
    month: MonthOption,
    confirm: Annotated[bool, typer.Option("--confirm", help="确认相符的、退回不符的（3261）")] = False,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """提取异地清分明细（3260）与账本核对。

    例 / example: his-adapter accounts clear --month 2026-11 --confirm
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "clear", {"month": month, "confirm": confirm}, as_json))


@accounts_app.command("his")
def his(
    file: FileArgument,
    date: DateOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """三方对账：导入 HIS 当日入账明细（业务号、结算编号、类型、总额、基金、个人账户、现金）。

    例 / example: his-adapter accounts his HIS入账.csv --date 2026-11-21
    """
    from adapter_core.cli.accounting import imported

    run(imported(config, institution, "his", file, {"date": date}, as_json))


@accounts_app.command("watch")
def watch(
    date: DateOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """按监管规则查看一天的业务；只提示，不拦截。

    例 / example: his-adapter accounts watch --date 2026-11-21
    """
    from adapter_core.cli.accounting import listing

    run(listing(config, institution, "watch", {"date": date}, as_json))


@accounts_app.command("flags")
def flags(
    everything: AllOption = False,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """列出未了结的监管提示；用 accounts close 写明理由后了结。

    例 / example: his-adapter accounts flags
    """
    from adapter_core.cli.accounting import listing

    run(listing(config, institution, "flags", {"all": everything}, as_json))


@accounts_app.command("wrong-person")
def wrong_person(
    key: Annotated[str, typer.Argument(help="settle_key 或 case_id")],
    operator: OperatorOption,
    reason: ReasonOption,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """用错了他人凭证：退费、记安全事件；本人另以新业务号结算。

    例 / example: his-adapter accounts wrong-person K20261121-0001 --operator 测试主任 --reason 拿错卡
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "wrong_person", {"key": key, "operator": operator, "reason": reason}, as_json))


@accounts_app.command("calendar")
def calendar(
    institution: InstitutionOption = "", config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """对账、申报、清分、到账的期限。

    例 / example: his-adapter accounts calendar
    """
    from adapter_core.cli.accounting import plain

    run(plain(config, institution, "calendar", {}, as_json))


@accounts_app.command("inquiries")
def inquiries(
    month: MonthOption,
    out: OutOption = None,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """可能收到费用协查的住院结算（三万元以上），带发票号、住院号和起止日期，供答复。

    例 / example: his-adapter accounts inquiries --month 2026-11 --out inquiries.pdf
    """
    from adapter_core.cli.accounting import inquired

    run(inquired(config, institution, month, out, as_json))


@accounts_app.command("report")
def report(
    since: Annotated[str, typer.Option("--from", help="yyyy-MM-dd")],
    until: Annotated[str, typer.Option("--to", help="yyyy-MM-dd")],
    out: OutOption = None,
    institution: InstitutionOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """报表：按日、按参保地、直接结算率与失败原因；.pdf 和 .xlsx 带图。

    例 / example: his-adapter accounts report --from 2026-11-01 --to 2026-11-30 --out november.pdf
    """
    from adapter_core.cli.accounting import report as work

    run(work(config, institution, since, until, out, as_json))
