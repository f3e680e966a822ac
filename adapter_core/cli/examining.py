"""``doctor``: the set-up proved before it is trusted, one row a check."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.site import current_notices, gateway_endpoint, plugins
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.values.errors import AdapterError

FREE_BYTES_WANTED = 256 * 1024 * 1024


async def examine(config_path: Path, as_json: bool) -> int:
    """Prove the set-up before it is trusted: one row a check; 2 when any failed."""
    return _examined(await examination(config_path), as_json)


async def examination(config_path: Path) -> list[tuple[str, str, str]]:
    """What, 正常 注意 or 失败, and why."""
    rows: list[tuple[str, str, str]] = []

    def check(name: str, fine: bool, text: str, warn: bool = False) -> None:
        rows.append((name, "正常" if fine else "注意" if warn else "失败", text))

    try:
        config = load_config(config_path)
        check("配置", True, str(config_path))
    except AdapterError as error:
        check("配置", False, str(error))
        return rows
    _examine_plugins(config, check)
    _examine_site(config, check)
    await _examine_way_out(config, check)
    return rows


def _examine_plugins(config: Any, check: Any) -> None:
    loaded = plugins(config.settings.plugins)
    for province in loaded.provinces:
        check(f"插件 {province.name}", True, f"{province.version}，合同版本 {province.contract}")
    for one in loaded.broken:
        check(f"插件 {one.name}", False, one.reason)


def _examine_site(config: Any, check: Any) -> None:
    import sqlite3

    from adapter_core.ledger.sealing import read_master_key
    from adapter_core.operations.chain_check import complaint, inspected
    from adapter_core.standard.regions import region

    settings = config.settings
    try:
        for institution in settings.every_institution:
            found = region(institution.admdvs)
            check("就医地区划", found is not None, found.name if found else f"{institution.admdvs} 不在区划表中")
        new = not config.is_shared and not config.ledger_path.exists()
        if new and not config.master_key_path.exists():
            check("密钥与账本", False, "尚未建立，首次结算时建立", warn=True)
        else:
            read_master_key(config.master_key_path)
            check("主密钥", True, "仅属主可读")
            _examine_keys(config, check)
            wrong = complaint(inspected(config))
            check("账本", not wrong, wrong or ("PostgreSQL" if config.is_shared else str(config.ledger_path)))
    except AdapterError as error:
        check("密钥与账本", False, str(error))
    check(
        "科别 visit.caty",
        all("visit.caty" in one.defaults for one in settings.every_institution),
        "未设置时送占位值 0，请按当地要求设置",
        warn=True,
    )
    try:
        notices = "；".join(notice.text for notice in current_notices(config))
        check("停机公告", not notices, notices or "无", warn=True)
    except AdapterError as error:
        check("停机公告", False, str(error))
    late = settings.timers.late_commit
    for name, gateway in settings.every_gateway.items():
        of = f"（{name}）" if len(settings.every_gateway) > 1 else ""
        plain = gateway.plain_http
        check(f"网关加密{of}", not gateway.url.startswith("http://"), f"明文 http，理由：{plain}", warn=True)
        if late < 120:
            evident = bool(gateway.late_commit_evidence)
            check(f"late_commit{of}", evident, f"{late} 秒，低于 120 秒需写明依据", warn=True)
        asked = gateway.query_after_unknown
        check(
            f"结果未知时可查询{of}",
            asked == "by_visit",
            f"query_after_unknown = {asked or '插件默认'}：查不到时由人工核定",
            warn=True,
        )
    check(
        "SQLite",
        sqlite3.sqlite_version_info >= (3, 51, 3),
        f"{sqlite3.sqlite_version}；低于 3.51.3 时仅由一个连接做检查点",
        warn=True,
    )
    free = shutil.disk_usage(config.folder).free
    check("磁盘", free > FREE_BYTES_WANTED, f"剩余 {free // 1024 // 1024} MB")


def _examine_keys(config: Any, check: Any) -> None:
    from adapter_core.operations.key_inventory import key_inventory

    anchor = "尚未建立"
    for entry in key_inventory(config):
        if entry.state not in ("仅属主可读", "尚未建立"):
            check(f"密钥 {entry.name}", False, entry.state)
        elif entry.name == "ledger.anchor_key_file" and entry.key_id:
            anchor = f"{entry.algorithm}，密钥号 {entry.key_id}"
    sm2 = anchor.startswith("SM2")
    check("锚点签名", sm2, anchor if sm2 else f"{anchor}；安装附加组件 guomi 后新建的密钥为 SM2", warn=True)
    http = config.settings.http
    for address in (http.listen, http.console):
        open_to_network = not address.startswith(("127.", "[::1]", "localhost:"))
        if open_to_network and http.tls_certificate_file is None:
            check("监听加密", False, f"{address} 对外监听而没有 HTTPS：凭据和报文在网内明文传输", warn=True)
    for client in config.settings.clients:
        if client.addresses:
            check(f"客户 {client.name}", False, "凭来源地址放行旧接口，同网段的其他程序也能调用", warn=True)


async def _examine_way_out(config: Any, check: Any) -> None:
    """One harmless connection to each gateway: name, port and TLS, no message."""
    for name, gateway in config.settings.every_gateway.items():
        await _examine_gateway(config, name, gateway.url, check)


async def _examine_gateway(config: Any, name: str, url: str, check: Any) -> None:
    import asyncio
    import ssl
    from urllib.parse import urlsplit

    from adapter_core.centre.client import tls_context

    address = urlsplit(url)
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    try:
        context = tls_context(gateway_endpoint(config, name)) if secure else None
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(address.hostname, port, ssl=context)
        writer.close()
        check("连接网关", True, f"{address.hostname}:{port}")
    except (OSError, TimeoutError, ssl.SSLError) as error:
        check("连接网关", False, f"{address.hostname}:{port} {type(error).__name__}")


def _examined(rows: list[tuple[str, str, str]], as_json: bool) -> int:
    if as_json:
        print_json([{"check": name, "result": result, "text": text} for name, result, text in rows])
    else:
        print_table("体检", ("项目", "结果", "说明"), rows)
    return 2 if any(result == "失败" for _, result, _ in rows) else 0
