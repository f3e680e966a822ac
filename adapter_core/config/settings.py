"""The whole file: its sections, and what must fit together across them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from adapter_core.config.sections import (
    AccountsSettings,
    AlarmSettings,
    CatalogueSettings,
    ClientSettings,
    ConsoleSettings,
    CutoverSettings,
    GatewaySettings,
    HttpSettings,
    Institution,
    LedgerSettings,
    PapersSettings,
    RouteSettings,
    SweepSettings,
    TimerSettings,
    TracingSettings,
)
from adapter_core.settlement.ways import ONLY


class Settings(BaseSettings):
    """The whole file.  Environment: ``YB_TIMERS__SYNC_WAIT=3`` and the like; secrets only from files."""

    model_config = SettingsConfigDict(env_prefix="YB_", env_nested_delimiter="__", extra="forbid", frozen=True)

    environment: Literal["test", "production"] = "test"
    institution: Institution = Field(default=None, validate_default=False)  # type: ignore[assignment]
    institutions: list[Institution] = Field(default_factory=list)
    ledger: LedgerSettings = LedgerSettings()
    gateway: GatewaySettings = Field(default=None, validate_default=False)  # type: ignore[assignment]
    gateways: dict[str, GatewaySettings] = Field(default_factory=dict)
    routes: list[RouteSettings] = Field(default_factory=list)
    cutovers: list[CutoverSettings] = Field(default_factory=list)
    timers: TimerSettings = TimerSettings()  # type: ignore[call-arg]
    http: HttpSettings = HttpSettings()
    clients: list[ClientSettings] = Field(default_factory=list)
    console: ConsoleSettings = ConsoleSettings()
    alarms: AlarmSettings = AlarmSettings()
    tracing: TracingSettings = TracingSettings()
    on_unknown: Literal["adopt", "reverse"] = "adopt"
    four_eyes_yuan: int = Field(5000, ge=0)
    notices_file: Path | None = None
    openings_file: Path | None = None
    special_drugs_file: Path | None = None
    papers: PapersSettings = PapersSettings()  # type: ignore[call-arg]
    catalogues: CatalogueSettings = CatalogueSettings()  # type: ignore[call-arg]
    accounts: AccountsSettings = AccountsSettings()
    sweep: SweepSettings = SweepSettings()
    plugins: list[str] | None = None
    dialect_options: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def every_institution(self) -> tuple[Institution, ...]:
        """All that are served here; ``institution`` is the first."""
        own = () if self.institutions and "institution" not in self.model_fields_set else (self.institution,)
        return (*own, *self.institutions)

    @property
    def every_gateway(self) -> dict[str, GatewaySettings]:
        """All gateways by their names."""
        return {**({ONLY: self.gateway} if "gateway" in self.model_fields_set else {}), **self.gateways}

    def gateway_of(self, institution: Institution) -> str:
        """The name of the gateway that serves it where no route says otherwise."""
        return institution.gateway or next(iter(self.every_gateway))

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        """``institution`` and ``gateway`` are the first ones where only lists are given; every name that is used exists."""
        if self.institution is None and self.institutions:
            object.__setattr__(self, "institution", self.institutions[0])
        faults = [] if self.institution is not None else ["institution: Field required"]
        faults += [] if self.every_gateway else ["gateway: Field required"]
        if not faults:
            if self.gateway is None:
                object.__setattr__(self, "gateway", self.every_gateway[self.gateway_of(self.institution)])
            faults = list(self._unknown_names())
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _unknown_names(self) -> Iterator[str]:
        codes = [one.fixmedins_code for one in self.every_institution]
        gateways = self.every_gateway
        yield from (f"institutions: {code} twice" for code in sorted({one for one in codes if codes.count(one) > 1}))
        if ONLY in self.gateways and "gateway" in self.model_fields_set:
            yield f"gateways.{ONLY}: that is the name of [gateway]"
        used = [("institutions.gateway", one.gateway) for one in self.every_institution if one.gateway]
        used += [("routes.gateway", one.gateway) for one in self.routes]
        used += [("cutovers.to", one.target) for one in self.cutovers]
        yield from (f"{path}: no gateway {name}" for path, name in used if name not in gateways)
        named = [("routes.institution", one.institution) for one in self.routes]
        named += [("cutovers.institution", one.institution) for one in self.cutovers]
        yield from (f"{path}: no institution {code}" for path, code in named if code and code not in codes)

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
