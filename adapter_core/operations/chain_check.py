"""The whole ledger checked, whichever database it lies in."""

from __future__ import annotations

from adapter_core.config import Config
from adapter_core.ledger.inspection import Inspection
from adapter_core.ledger.sealing import read_master_key


def inspected(config: Config) -> Inspection:
    """File and chains of the configured ledger; blocks as long as that takes.  Raises: ConfigError, LedgerUnavailable."""
    keys = read_master_key(config.master_key_path)
    if config.is_shared:
        from adapter_core.ledger import postgres_inspection

        return postgres_inspection.verify(config.settings.ledger.url, keys)
    from adapter_core.ledger import inspection

    return inspection.verify(config.ledger_path, keys)


def complaint(found: Inspection) -> str:
    """What is wrong, in one line; "" when nothing is."""
    if found.file:
        return f"数据库文件：{found.file}"
    broken = [f"{chain.org} 第 {chain.broken_seq} 条起：{chain.reason}" for chain in found.chains if not chain.is_whole]
    return "；".join(broken)
