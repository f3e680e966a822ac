"""Configuration: one TOML file, every key overridable by ``YB_…`` environment variables except secrets (`contracts.md` §7)."""

from __future__ import annotations

from adapter_core.config.loading import DEFAULT_NAME, Config, known_keys, load_config, read_secret, section_of
from adapter_core.config.sections import (
    AlarmMail,
    AlarmSettings,
    ClientSettings,
    GatewaySettings,
    HttpSettings,
    Institution,
    LedgerSettings,
    PapersSettings,
    Role,
    SweepSettings,
    TimerSettings,
)
from adapter_core.config.settings import Settings

__all__ = [
    "DEFAULT_NAME",
    "AlarmMail",
    "AlarmSettings",
    "ClientSettings",
    "Config",
    "GatewaySettings",
    "HttpSettings",
    "Institution",
    "LedgerSettings",
    "PapersSettings",
    "Role",
    "Settings",
    "SweepSettings",
    "TimerSettings",
    "known_keys",
    "load_config",
    "read_secret",
    "section_of",
]
