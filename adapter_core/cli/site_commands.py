"""The commands for a site: set up, served, examined, rehearsed, upgraded, and its users."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adapter_core.cli.app import DEFAULT_CONFIG, ConfigOption, JsonOption, app, run

user_app = typer.Typer(help="控制台用户 / the console's users.", no_args_is_help=True)

PasswordOption = Annotated[
    bool,
    typer.Option("--password", help="自己输入初始密码（或从标准输入读一行）/ type it, or one line on standard input"),
]


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
def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """启动 HTTP 服务，HIS 由此办理结算；收到停止信号后先办完手上的业务再退出。

    例 / example: his-adapter serve --config his-adapter.toml
    """
    from adapter_core.cli.serving import serve_config

    sys.exit(serve_config(config))


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
    from adapter_core.cli.examining import examine
    from adapter_core.cli.inspecting import list_keys

    if keys:
        sys.exit(list_keys(config, as_json))

    run(examine(config, as_json))


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
