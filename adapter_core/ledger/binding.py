"""What a ledger belongs to, as its ``meta`` table says: schema version, environment, master key."""

from __future__ import annotations

from adapter_core.ledger import migrations
from adapter_core.ledger.sealing import MasterKey
from adapter_core.values.errors import ConfigError


def new_meta(environment: str, master: MasterKey) -> dict[str, str]:
    return {"schema_version": str(migrations.SCHEMA_VERSION), "environment": environment, "master_key": master.key_id}


def schema_version(meta: dict[str, str]) -> int:
    """Raises: ConfigError when the tables are no ledger, or a newer his-adapter's that this one can't work beside."""
    version = int(meta.get("schema_version", 0))
    if int(meta.get("works_with", version)) > migrations.SCHEMA_VERSION:
        raise ConfigError(
            f"the ledger was written by a newer his-adapter (schema {version}, this one knows {migrations.SCHEMA_VERSION}): "
            "install that version"
        )
    if version < 1:
        raise ConfigError("this is no ledger: it has no schema version")
    return version


def check_current(meta: dict[str, str]) -> None:
    """For who only reads, and so can't migrate.  Raises: ConfigError."""
    version = schema_version(meta)
    if version < migrations.SCHEMA_VERSION:
        raise ConfigError(
            f"the ledger was written by an older his-adapter (schema {version}, this one reads {migrations.SCHEMA_VERSION}): "
            "start the service, it brings the ledger up to date"
        )


def check_belongs(meta: dict[str, str], environment: str, master: MasterKey) -> None:
    """Raises: ConfigError when the ledger is another environment's, or sealed with another master key."""
    if meta["environment"] != environment:
        raise ConfigError(f"this ledger was made for {meta['environment']!r}, not for {environment!r}")
    check_key(meta, master)


def check_key(meta: dict[str, str], master: MasterKey) -> None:
    """Raises: ConfigError."""
    if meta["master_key"] != master.key_id:
        raise ConfigError(f"this ledger is sealed with master key {meta['master_key']}, not {master.key_id}")
