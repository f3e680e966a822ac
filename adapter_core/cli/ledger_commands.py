"""The ``ledger`` commands as the command line offers them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption
from adapter_core.values.errors import ConfigError

ledger_app = typer.Typer(help="账本 / the ledger.", no_args_is_help=True)


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
