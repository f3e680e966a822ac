"""`golive --check`: what must be green before the first real patient.  It looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from adapter_core.bootstrap.assembly import opened_ledger
from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import ClientSettings, Config, GatewaySettings, read_secret
from adapter_core.operations.backup import last_drill, newest_backup, read_manifest
from adapter_core.settlement.states import UNDECIDED, State
from adapter_core.values.errors import AdapterError

DRILL_DAYS = 90
BACKUP_DAYS = 2
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LATE_COMMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Row:
    """One item.  text: what was found, and what to do where it is not green."""

    name: str
    green: bool
    text: str


async def golive_rows(config: Config, backups: Path) -> list[Row]:
    """Every item of the list, in the order a hospital works through it."""
    return [
        *_identity(config),
        *_way_out(config),
        *_way_in(config),
        *await _ledger(config),
        *_safety_nets(config, backups),
    ]


def _identity(config: Config) -> Iterator[Row]:
    settings = config.settings
    production = settings.environment == "production"
    yield Row(
        "环境", production, settings.environment if production else "须为 production；测试账本不能转为生产，请另行 init"
    )
    for institution in settings.every_institution:
        sample = institution.fixmedins_code == SAMPLE_CODE or "测试" in institution.fixmedins_name
        yield Row(
            "机构",
            not sample,
            f"{institution.fixmedins_code} {institution.fixmedins_name}" + ("（仍是示例）" if sample else ""),
        )
        named = "visit.caty" in institution.defaults
        yield Row(
            "科别", named, "已设置 visit.caty" if named else "未设置 institution.defaults 的 visit.caty，会送占位值 0"
        )


SAMPLE_CODE = "H00000000001"


def _way_out(config: Config) -> Iterator[Row]:
    for gateway in config.settings.every_gateway.values():
        yield from _gateway(config, gateway)


def _gateway(config: Config, gateway: GatewaySettings) -> Iterator[Row]:
    address = urlsplit(gateway.url)
    away = address.hostname not in LOOPBACK
    yield Row("网关地址", away, gateway.url if away else f"{gateway.url} 在本机：是模拟中心吗？")
    secure = address.scheme == "https"
    yield Row(
        "网关加密", secure or bool(gateway.plain_http), "https" if secure else f"明文 http，理由：{gateway.plain_http}"
    )
    timers = config.settings.timers
    evident = timers.late_commit >= LATE_COMMIT_S or bool(gateway.late_commit_evidence)
    yield Row(
        "late_commit",
        evident,
        f"{timers.late_commit:g} 秒" + ("" if evident else "，低于 120 秒须写 late_commit_evidence"),
    )


def _way_in(config: Config) -> Iterator[Row]:
    http = config.settings.http
    host = http.listen.rpartition(":")[0].strip("[]")
    safe = host in LOOPBACK or http.tls_certificate_file is not None
    yield Row("服务监听", safe, http.listen if safe else f"{http.listen} 不在本机且没有 https 证书")
    clients = config.settings.clients
    yield Row(
        "调用方",
        any("his" in one.roles for one in clients),
        f"{len(clients)} 个" if clients else "没有配置 [[clients]]",
    )
    for client in clients:
        fault = _client_fault(config, client)
        yield Row(f"调用方 {client.name}", not fault, fault or "凭据可用")


def _client_fault(config: Config, client: ClientSettings) -> str:
    files = [client.token_file, client.next_token_file, *client.hmac_key_files.values()]
    if client.family:
        files.append(client.family.secret_file)
    try:
        for file in files:
            if file is not None:
                read_secret(config.path(file))
    except AdapterError as error:
        return str(error)
    by_address_only = not any(files) and not client.certificate_sha256
    return "只按来源地址识别，谁占用该地址谁就是它；请改用令牌、证书或省平台签名" if by_address_only else ""


async def _ledger(config: Config) -> list[Row]:
    if config.is_shared and urlsplit(config.settings.ledger.url).password:
        return [Row("账本", False, "ledger.url 里写了口令：请改用 PGPASSFILE 指定的文件")]
    try:
        async with AsyncExitStack() as parts:
            ledger = await opened_ledger(config, SystemClock(), parts, read_only=True)
            left = await ledger.cases_in(sorted({*UNDECIDED, State.FROZEN}))
    except AdapterError as error:
        return [Row("账本", False, str(error))]
    free = f"{len(left)} 笔未决或待核定，先处理完" if left else "没有未决业务"
    return [Row("账本", True, f"{config.settings.environment} 环境的账本"), Row("未决业务", not left, free)]


def _safety_nets(config: Config, backups: Path) -> Iterator[Row]:
    ledger, alarms = config.settings.ledger, config.settings.alarms
    witness = ledger.witness_file
    yield Row(
        "见证文件", witness is not None, str(witness) if witness else "未设置 ledger.witness_file（应在另一块磁盘）"
    )
    copies = ledger.anchor_copies
    yield Row(
        "锚点副本", bool(copies), f"{len(copies)} 处" if copies else "未设置 ledger.anchor_copies（应在别的机器）"
    )
    channels = [name for name in ("syslog", "webhook", "email") if getattr(alarms, name)]
    yield Row("告警", bool(channels), "、".join(channels) or "没有配置告警渠道：syslog、webhook、email 至少一个")
    if not config.is_shared:
        yield _recent_backup(backups)
        yield _recent_drill(config)


def _recent_backup(backups: Path) -> Row:
    newest = newest_backup(backups)
    if newest is None:
        return Row("备份", False, f"{backups} 里没有备份：his-adapter ledger backup，并定时执行")
    made = datetime.fromisoformat(read_manifest(newest)["made_at"])
    fresh = SystemClock().wall() - made < timedelta(days=BACKUP_DAYS)
    return Row("备份", fresh, f"{newest.name}" + ("" if fresh else f"，已超过 {BACKUP_DAYS} 天"))


def _recent_drill(config: Config) -> Row:
    record = last_drill(config)
    if record is None:
        return Row("恢复演练", False, "没有做过：his-adapter ledger drill 备份文件 --master-key 离线保存的密钥副本")
    age = SystemClock().wall() - datetime.fromisoformat(record["at"])
    if age > timedelta(days=DRILL_DAYS):
        return Row("恢复演练", False, f"上次在 {age.days} 天前，须在 {DRILL_DAYS} 天内")
    if not record["with_key_copy"]:
        return Row("恢复演练", False, "演练用的是在用主密钥：请用离线保存的副本再做一次（--master-key），证明副本可用")
    return Row("恢复演练", True, f"{record['backup']}，{record['events']} 条，用密钥副本")
