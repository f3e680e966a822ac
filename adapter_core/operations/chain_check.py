"""The whole ledger checked, whichever database it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter_core.config import Config
from adapter_core.ledger.sealing import read_master_key

if TYPE_CHECKING:
    from adapter_core.ledger.anchors import Anchored
    from adapter_core.ledger.inspection import Inspection


def inspected(config: Config) -> Inspection:
    """The ledger's file, chains and anchors; blocks as long as that takes.  Raises: ConfigError, LedgerUnavailable."""
    keys = read_master_key(config.master_key_path)
    if config.is_shared:
        from adapter_core.ledger import postgres_inspection

        return postgres_inspection.verify(config.settings.ledger.url, keys, anchored(config))
    from adapter_core.ledger import inspection

    return inspection.verify(config.ledger_path, keys, anchored(config))


def anchored(config: Config) -> Anchored | None:
    """The files of anchors and the keys they are checked with, None while nothing was anchored yet."""
    from adapter_core.ledger.anchor_keys import read_anchor_key
    from adapter_core.ledger.anchors import Anchored

    settings = config.settings.ledger
    own = config.anchors_path
    files = (own, *(config.path(folder) / own.name for folder in settings.anchor_copies))
    key_files = [config.path(file) for file in (settings.anchor_key_file, *settings.former_anchor_key_files)]
    keys = [read_anchor_key(file) for file in key_files if file.exists()]
    return Anchored(files, {key.key_id: key for key in keys}) if any(file.exists() for file in files) else None


def complaint(found: Inspection) -> str:
    """What is wrong, in one line; "" when nothing is."""
    if found.file:
        return f"数据库文件：{found.file}"
    broken = [f"{chain.org} 第 {chain.broken_seq} 条起：{chain.reason}" for chain in found.chains if not chain.is_whole]
    broken += [f"锚点 {one.path.name}：{one.faults[0]}" for one in found.anchors if one.faults]
    return "；".join(broken)
