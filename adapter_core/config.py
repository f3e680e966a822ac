"""Configuration: one TOML file, every key overridable by ``YB_…`` environment variables except secrets (`contracts.md` §7)."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret

DEFAULT_NAME = "his-adapter.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Institution(_Section):
    """The hospital or pharmacy (定点医药机构)."""

    fixmedins_code: str = Field(min_length=1, max_length=30)
    fixmedins_name: str = Field(min_length=1, max_length=200)
    admdvs: str = Field(pattern=r"^\d{6}$")
    defaults: dict[str, str] = Field(default_factory=dict)


class LedgerSettings(_Section):
    url: str = "sqlite:///ledger.db"
    witness_file: Path | None = None
    master_key_file: Path = Path("keys/master.key")


class GatewaySettings(_Section):
    """The way out.  Every capability of `reliability.md` §2 may be set for a site; an unset one is the plugin's."""

    kind: str = "national"
    url: str
    plain_http: str | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    options: dict[str, str] = Field(default_factory=dict)
    secret_files: dict[str, Path] = Field(default_factory=dict)
    query_after_unknown: Literal["by_visit", "by_setl_id_only", "none"] | None = None
    fees_query: Literal["unsettled", "unknown"] | None = None
    feedetl_sn_reusable: bool | None = None
    reverse_missing: Literal["error", "ok"] | None = None
    reverse_window: Literal["same_day", "until_cleared"] | None = None
    reverse_ok: Literal["effective", "effective_after", "nothing"] | None = None
    reverse_ok_after_s: float | None = None
    same_msgid_dedup: bool | None = None
    double_settle_refused: bool | None = None
    shared_account_outside: bool | None = None
    may_repeat: bool | None = None
    sign_in: Literal["none", "operator_day"] | None = None
    late_commit_evidence: str | None = None

    def capabilities(self) -> dict[str, Any]:
        """The capabilities this site sets, by name."""
        names = (
            "query_after_unknown", "fees_query", "feedetl_sn_reusable", "reverse_missing", "reverse_window", "reverse_ok",
            "reverse_ok_after_s", "shared_account_outside", "same_msgid_dedup", "double_settle_refused", "may_repeat", "sign_in",
        )  # fmt: skip
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class TimerSettings(_Section):
    """Seconds, fractions allowed."""

    sync_wait: float = Field(8.0, gt=0, le=25)
    money_deadline: float = Field(30.0, gt=0)
    inpatient_deadline: float = Field(120.0, gt=0)
    read_deadline: float = Field(10.0, gt=0)
    gate: float = Field(5.0, gt=0)
    late_commit: float = Field(600.0, gt=0)
    query_lag: float = Field(60.0, ge=0)
    second_negative: float = Field(30.0, ge=0)
    query_steps: list[float] = Field(default_factory=lambda: [2.0, 5.0, 15.0, 30.0, 60.0])
    query_step_last: float = Field(300.0, gt=0)
    reversal_retry: float = Field(60.0, gt=0)
    lease: float = Field(45.0, gt=0)
    quote_ttl: float = Field(1800.0, gt=0)
    requote_after: float = Field(300.0, gt=0)
    heartbeat: float = Field(10.0, gt=0)


class HttpSettings(_Section):
    """Read by `serve`, which comes with a later release."""

    listen: str = "127.0.0.1:8970"


class ClientSettings(_Section):
    """A caller of `serve`, which comes with a later release."""

    name: str
    token_file: Path
    roles: list[str]


class Settings(BaseSettings):
    """The whole file.  Environment: ``YB_TIMERS__SYNC_WAIT=3`` and the like; secrets only from files."""

    model_config = SettingsConfigDict(env_prefix="YB_", env_nested_delimiter="__", extra="forbid", frozen=True)

    environment: Literal["test", "production"] = "test"
    institution: Institution
    ledger: LedgerSettings = LedgerSettings()
    gateway: GatewaySettings
    timers: TimerSettings = TimerSettings()  # type: ignore[call-arg]
    http: HttpSettings = HttpSettings()
    clients: list[ClientSettings] = Field(default_factory=list)
    on_unknown: Literal["adopt", "reverse"] = "adopt"
    four_eyes_yuan: int = Field(5000, ge=0)
    notices_file: Path | None = None
    plugins: list[str] | None = None
    dialect_options: dict[str, dict[str, str]] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)


class Config:
    """Settings with the folder their relative paths are read from."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder

    def path(self, path: Path) -> Path:
        return path if path.is_absolute() else self.folder / path

    @cached_property
    def ledger_path(self) -> Path:
        """Where the SQLite ledger lies.  Raises: ConfigError for a URL of another kind."""
        url = self.settings.ledger.url
        if not url.startswith("sqlite:///"):
            raise ConfigError("ledger.url must be sqlite:///path or postgresql://…")
        return self.path(Path(url.removeprefix("sqlite:///")))

    @property
    def is_shared(self) -> bool:
        """A PostgreSQL ledger, which several replicas may share."""
        return self.settings.ledger.url.startswith("postgresql://")

    @cached_property
    def master_key_path(self) -> Path:
        return self.path(self.settings.ledger.master_key_file)

    @cached_property
    def secrets(self) -> dict[str, Secret]:
        """The gateway's secrets, each from its own file that only the owner can read.  Raises: ConfigError."""
        return {name: read_secret(self.path(path)) for name, path in self.settings.gateway.secret_files.items()}


def read_secret(path: Path) -> Secret:
    """The text of a secret file.  Raises: ConfigError when it is missing, empty, or others can read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"secret file {path.name}: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"secret file {path.name}: others can read it; chmod 600")
    if not text:
        raise ConfigError(f"secret file {path.name}: empty")
    return Secret(text)


def load_config(path: Path) -> Config:
    """The configuration of one file.  Raises: ConfigError naming every wrong key."""
    if not path.is_file():
        raise ConfigError(f"no configuration file {path}; see docs/reference/configuration.md")
    try:
        values = TomlConfigSettingsSource(Settings, path)()
        return Config(Settings(**values), path.resolve().parent)
    except ValidationError as error:
        rows = [f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in error.errors(include_input=False)]
        raise ConfigError(f"{path.name}: " + "; ".join(rows)) from None
    except ValueError as error:
        raise ConfigError(f"{path.name}: {error}") from None
