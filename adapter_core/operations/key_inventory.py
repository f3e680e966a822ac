"""Which keys an installation has, what each is for and with which algorithm: the inventory 密评 (GB/T 39786) asks for, made from
the configuration.  It never shows a key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from adapter_core.config import ClientSettings, Config
from adapter_core.ledger.anchor_keys import read_anchor_key
from adapter_core.ledger.key_files import KEY_TEXT_BYTES_MAX, read_key_file
from adapter_core.ledger.sealing import read_master_key
from adapter_core.settlement.ways import ONLY
from adapter_core.values.errors import AdapterError

FAMILY_ALGORITHMS = {"csb": "HMAC-SHA1（CSB 规定）", "x-tif": "SHA-256（x-tif 规定）", "x-ca": "HMAC-SM3"}
GATEWAY_ALGORITHMS = {
    "sk": "HMAC-SHA1（CSB 规定）",
    "token": "SHA-256（x-tif 规定）",
    "ak": "账号",
    "paasid": "账号",
    "apikey": "固定值",
}
"""By the name a gateway gives its secret; another name's algorithm stands in the README of its plugin."""


class KeyEntry(NamedTuple):
    """``state``: 仅属主可读, 尚未建立, or what is wrong; ``changed``: the file's day, "" where there is none."""

    name: str
    purpose: str
    algorithm: str
    key_id: str
    file: str
    state: str
    changed: str


class _Use(NamedTuple):
    name: str
    purpose: str
    algorithm: str
    file: Path
    key_id: str = ""


def key_inventory(config: Config) -> list[KeyEntry]:
    """Every key file the configuration names, used or not."""
    return [_entry(config, use) for use in _uses(config)]


def _uses(config: Config) -> Iterator[_Use]:
    settings = config.settings
    sealing = "AES-256-GCM，HKDF-SHA256，HMAC-SHA256"
    yield _Use(
        "ledger.master_key_file", "账本加密的主密钥（每日数据密钥由它包裹）", sealing, settings.ledger.master_key_file
    )
    yield _Use("ledger.anchor_key_file", "账本链条锚点签名", "", settings.ledger.anchor_key_file)
    for file in settings.ledger.former_anchor_key_files:
        yield _Use("ledger.former_anchor_key_files", "核验旧锚点", "", file)
    yield _Use("papers.signing_key_file", "手工报销材料防伪签名", "SM2 或 Ed25519", settings.papers.signing_key_file)
    for own, gateway in settings.every_gateway.items():
        section = own if own == ONLY else f"gateways.{own}"
        for name, file in gateway.secret_files.items():
            algorithm = GATEWAY_ALGORITHMS.get(name, "见插件说明")
            yield _Use(f"{section}.secret_files.{name}", f"网关 {gateway.kind}", algorithm, file)
        if gateway.client_key_file is not None:
            yield _Use(
                f"{section}.client_key_file", f"网关 {gateway.kind} 的客户端证书", "TLS", gateway.client_key_file
            )
    if settings.http.tls_key_file is not None:
        yield _Use("http.tls_key_file", "本服务的 HTTPS 证书", "TLS", settings.http.tls_key_file)
    yield _Use("http.operator_token_file", "本机命令的操作员凭据", "Bearer", settings.http.operator_token_file)
    for client in settings.clients:
        yield from _uses_of_client(client)


def _uses_of_client(client: ClientSettings) -> Iterator[_Use]:
    place, purpose = f"clients.{client.name}", f"接口客户 {client.name}（{'、'.join(client.roles)}）"
    for name, file in (("token_file", client.token_file), ("next_token_file", client.next_token_file)):
        if file is not None:
            yield _Use(f"{place}.{name}", purpose, "Bearer", file, file.stem)
    for key_id, file in client.hmac_key_files.items():
        yield _Use(f"{place}.hmac_key_files", purpose, "HMAC-SM3", file, key_id)
    if client.family is not None:
        algorithm = FAMILY_ALGORITHMS[client.family.kind]
        yield _Use(f"{place}.family", purpose, algorithm, client.family.secret_file, client.family.account)


def _entry(config: Config, use: _Use) -> KeyEntry:
    path = config.path(use.file)
    if not path.exists():
        return KeyEntry(use.name, use.purpose, use.algorithm, use.key_id, str(use.file), "尚未建立", "")
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    algorithm, key_id, state = use.algorithm, use.key_id, "仅属主可读"
    try:
        if use.name == "ledger.master_key_file":
            key_id = read_master_key(path).key_id
        elif use.name.startswith("ledger."):
            anchor_key = read_anchor_key(path)
            algorithm, key_id = anchor_key.algorithm, anchor_key.key_id
        else:
            read_key_file(path, KEY_TEXT_BYTES_MAX)
    except AdapterError as error:
        state = str(error)
    return KeyEntry(use.name, use.purpose, algorithm, key_id, str(use.file), state, changed)
