"""The commands for the centre's catalogues, the hospital's items and what is open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, run

catalogue_app = typer.Typer(help="医保目录 / the centre's catalogues.", no_args_is_help=True)

mapping_app = typer.Typer(help="项目对照 / the hospital's items and their national codes.", no_args_is_help=True)

openings_app = typer.Typer(help="开通清单 / what is open for whom.", no_args_is_help=True)


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
