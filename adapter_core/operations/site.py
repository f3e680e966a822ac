"""`init`: a folder that `doctor` finds clean and `serve` runs from: configuration, keys only the owner reads, ledger."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import DEFAULT_NAME, Config, load_config
from adapter_core.ledger.sealing import create_master_key, read_master_key
from adapter_core.operations.config_file import Value, config_text
from adapter_core.values.errors import ConfigError

TOKEN = "keys/his.token"


@dataclass(frozen=True, slots=True)
class NewSite:
    """What a site begins with.  ledger_url: "" for an SQLite file in the folder."""

    fixmedins_code: str
    fixmedins_name: str
    admdvs: str
    gateway_url: str
    gateway_kind: str = "national"
    environment: str = "test"
    plain_http: str = ""
    ledger_url: str = ""

    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {
            "environment": self.environment,
            "institution.fixmedins_code": self.fixmedins_code,
            "institution.fixmedins_name": self.fixmedins_name,
            "institution.admdvs": self.admdvs,
            "ledger.url": self.ledger_url or "sqlite:///ledger.db",
            "gateway.kind": self.gateway_kind,
            "gateway.url": self.gateway_url,
        }
        return values | ({"gateway.plain_http": self.plain_http} if self.plain_http else {})


def make_site(folder: Path, new: NewSite) -> Config:
    """Make the folder.  Nothing that exists is overwritten; a file that can't be right is not left behind.

    Raises: ConfigError.
    """
    path = folder / DEFAULT_NAME
    if path.exists():
        raise ConfigError(f"{path} exists: init never overwrites a site", message_zh=f"{path} 已存在，不覆盖")
    (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    client: Mapping[str, Value] = {"name": "his", "roles": ["his", "cashier"], "token_file": TOKEN}
    _write_private(path, config_text(new.values(), (client,)))
    try:
        config = load_config(path)
    except ConfigError:
        path.unlink()
        raise
    if not config.master_key_path.exists():
        create_master_key(config.master_key_path)
    if not (folder / TOKEN).exists():
        _write_private(folder / TOKEN, secrets.token_urlsafe(32) + "\n")
    if not config.is_shared:
        _make_ledger(config)
    return config


def _make_ledger(config: Config) -> None:
    from adapter_core.ledger.sqlite import SqliteLedger

    keys = read_master_key(config.master_key_path)
    environment = config.settings.environment
    SqliteLedger.open(config.ledger_path, keys, environment=environment, clock=SystemClock()).close()


def _write_private(path: Path, text: str) -> None:
    """A new file that only its owner reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
