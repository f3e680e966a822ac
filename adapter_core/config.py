"""Configuration: one TOML file, every key overridable by ``YB_…`` environment variables except secrets (`contracts.md` §7)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from adapter_core.ledger.key_files import KEY_TEXT_BYTES_MAX, read_key_file
from adapter_core.province.messages import KINDS
from adapter_core.province.schemes import LOCAL, UNLISTED, schemes
from adapter_core.settlement.ways import ONLY
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import CHINA
from adapter_core.values.secrets import Secret

DEFAULT_NAME = "his-adapter.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Institution(_Section):
    """The hospital or pharmacy (定点医药机构).  gateway: the name of the one that serves it where no route says otherwise; by
    default ``[gateway]``, else the first of ``[gateways.NAME]``."""

    fixmedins_code: str = Field(min_length=1, max_length=30)
    fixmedins_name: str = Field(min_length=1, max_length=200)
    admdvs: str = Field(pattern=r"^\d{6}$")
    defaults: dict[str, str] = Field(default_factory=dict)
    gateway: str | None = None


class LedgerSettings(_Section):
    url: str = "sqlite:///ledger.db"
    witness_file: Path | None = None
    master_key_file: Path = Path("keys/master.key")
    anchors_file: Path | None = None
    anchor_copies: list[Path] = Field(default_factory=list)
    anchor_key_file: Path = Path("keys/anchor.key")
    former_anchor_key_files: list[Path] = Field(default_factory=list)


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
    connections: int = Field(default=8, ge=1, le=1024)
    queue: int = Field(default=32, ge=0, le=4096)
    query_after_unknown: Literal["by_visit", "by_setl_id_only", "none"] | None = None
    fees_query: Literal["unsettled", "settled", "unknown"] | None = None
    feedetl_sn_reusable: bool | None = None
    reverse_missing: Literal["error", "ok"] | None = None
    reverse_window: Literal["same_day", "until_cleared"] | None = None
    reverse_ok: Literal["effective", "effective_after", "nothing"] | None = None
    reverse_ok_after_s: float | None = None
    same_msgid_dedup: bool | None = None
    double_settle_refused: bool | None = None
    shared_account_outside: bool | None = None
    may_repeat: bool | None = None
    sign_in: Literal["none", "operator_day", "process"] | None = None
    details_stay: bool | None = None
    late_commit_evidence: str | None = None

    def capabilities(self) -> dict[str, Any]:
        """The capabilities this site sets, by name."""
        names = (
            "query_after_unknown", "fees_query", "feedetl_sn_reusable", "reverse_missing", "reverse_window", "reverse_ok",
            "reverse_ok_after_s", "shared_account_outside", "same_msgid_dedup", "double_settle_refused", "may_repeat", "sign_in",
            "details_stay",
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
    credential_ttl: float = Field(240.0, gt=0)
    heartbeat: float = Field(10.0, gt=0)


ADDRESS = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):\d{1,5}$"
"""``host:port``; port 0 is any free one."""


class HttpSettings(_Section):
    """What `serve` listens on.  drain: seconds a stop waits for calls in flight; operator_token_file: the credential by which this
    machine's own commands reach the service, made at the first start; tls_…, client_ca_file: HTTPS, and certificates of callers
    (mTLS); body_bytes … calls_at_once: what a caller may cost, the last two for each client."""

    listen: str = Field(default="127.0.0.1:8970", pattern=ADDRESS)
    console: str = Field(default="127.0.0.1:8971", pattern=ADDRESS)
    describe: bool = True
    drain: float = Field(default=20.0, ge=0)
    operator_token_file: Path = Path("keys/operator.token")
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    client_ca_file: Path | None = None
    body_bytes: int = Field(default=8 * 1024 * 1024, gt=0)
    head_deadline: float = Field(default=10.0, gt=0)
    body_deadline: float = Field(default=30.0, gt=0)
    connections: int = Field(default=1024, gt=0)
    calls_per_s: float = Field(default=1000.0, gt=0)
    calls_at_once: float = Field(default=2000.0, ge=1)


Role = Literal["his", "cashier", "operator", "auditor", "admin"]
"""What a client of the service may be; operator, auditor and administrator are never one."""


class FamilySignature(_Section):
    """The signature of a province's own family, made by an old HIS with a key that we issued."""

    kind: Literal["csb", "x-tif", "x-ca"]
    account: str = Field(min_length=1)
    secret_file: Path


class ClientSettings(_Section):
    """A caller of `serve`, known by any of: a token, HMAC keys (at most two, while they change), a certificate, its address, or
    a family's signature.  ``institutions``: the ``fixmedins_code`` it acts for, empty for all of this configuration."""

    name: str = Field(min_length=1)
    roles: list[Role] = Field(min_length=1)
    institutions: list[str] = Field(default_factory=list)
    token_file: Path | None = None
    next_token_file: Path | None = None
    hmac_key_files: dict[str, Path] = Field(default_factory=dict, max_length=2)
    certificate_sha256: list[Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:?){32}$")]] = Field(default_factory=list)
    addresses: list[IPv4Network | IPv6Network] = Field(default_factory=list)
    listen: str | None = Field(default=None, pattern=ADDRESS)
    family: FamilySignature | None = None
    hold_s: float = Field(default=55.0, ge=0, le=600)
    unknown_as_504: bool = False

    @field_validator("roles")
    @classmethod
    def _separate(cls, roles: list[Role]) -> list[Role]:
        if len({"operator", "auditor", "admin"}.intersection(roles)) > 1:
            raise ValueError("operator, auditor and admin are separate people: one of them for each client")
        return roles


class AlarmMail(_Section):
    """Where alarms go by e-mail."""

    host: str
    port: int = Field(default=25, ge=1, le=65535)
    starttls: bool = False
    sender: str
    to: list[str] = Field(min_length=1)
    user: str | None = None
    password_file: Path | None = None


class AlarmSettings(_Section):
    """When somebody is called, and how.  Seconds, but for disk_free_mb.  chain_check: when the whole journal is verified (cron,
    China time)."""

    unknown_after: float = Field(default=600.0, gt=0)
    breaker_after: float = Field(default=60.0, ge=0)
    disk_free_mb: int = Field(default=1024, ge=256)
    every: float = Field(default=30.0, gt=0)
    repeat: float = Field(default=14400.0, gt=0)
    chain_check: str = "30 2 * * *"
    syslog: str | None = Field(default=None, pattern=r"^(udp://.+:\d{1,5}|unix:/.+)$")
    webhook: str | None = Field(default=None, pattern=r"^https?://")
    webhook_token_file: Path | None = None
    email: AlarmMail | None = None


class TracingSettings(_Section):
    """OpenTelemetry traces, with the extra ``tracing``: the OTLP/HTTP address of a collector."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://")


class PapersSettings(_Section):
    """Manual-reimbursement papers and receipts.  phone: who says whether a set still counts; basis: the rule that direct settlement
    rests on, printed on receipts; chronic_notice_file: text of the 告知书 printed behind a chronic patient's receipt."""

    signing_key_file: Path = Path("keys/papers.key")
    phone: str = Field("", max_length=40)
    basis: str = Field("", max_length=200)
    chronic_notice_file: Path | None = None


def _in_china(moment: datetime | None) -> datetime | None:
    """A date and time without a zone is China's."""
    if moment is None:
        return None
    return (moment.replace(tzinfo=CHINA) if moment.tzinfo is None else moment).astimezone(UTC)


class RouteSettings(_Section):
    """One line of the ordered list that says which gateway serves an encounter; what it doesn't name, it doesn't ask for.

    institution: ``fixmedins_code``; schemes: names of arrangements (`schemas/policy/schemes.toml`), ``local`` or ``unlisted``;
    insured: region prefixes, ``@home`` for the institution's own province, "" while the place of insurance isn't known yet;
    kinds: of flow; from, to: when it holds, ``to`` excluded.
    """

    gateway: str
    institution: str | None = None
    schemes: list[str] = Field(default_factory=list)
    insured: list[Annotated[str, Field(pattern=r"^(@home|\d{0,6})$")]] = Field(default_factory=list)
    kinds: list[str] = Field(default_factory=list)
    begins: datetime | None = Field(default=None, alias="from")
    ends: datetime | None = Field(default=None, alias="to")

    _zoned = field_validator("begins", "ends")(_in_china)

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, kinds: list[str]) -> list[str]:
        return _among(kinds, KINDS)

    @field_validator("schemes")
    @classmethod
    def _known_schemes(cls, names: list[str]) -> list[str]:
        return _among(names, (LOCAL, UNLISTED, *(one.name for one in schemes())))


class CutoverSettings(_Section):
    """A switch from one gateway to another at a date and time.  institution: its ``fixmedins_code``, None for all; freeze_s:
    how long before ``at`` nothing new is begun."""

    at: datetime
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    institution: str | None = None
    freeze_s: float = Field(default=0.0, ge=0)

    _zoned = field_validator("at")(_in_china)


def _among(names: list[str], known: tuple[str, ...]) -> list[str]:
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ValueError(f"no {', '.join(wrong)}; there are {', '.join(known)}")
    return names


class StatementSettings(_Section):
    """How this gateway writes 3202's files.  No public source shows a real one, so each is the site's to set."""

    separator: str = Field("\t", min_length=1, max_length=4)
    charset: Literal["utf-8", "gb18030"] = "utf-8"
    heading: bool = False
    archive: Literal["auto", "zip", "plain"] = "auto"
    settle_flag: str = Field("0", min_length=1, max_length=3)
    refund_flag: str = Field("1", min_length=1, max_length=3)
    refunds_negative: bool = False
    uploads_as: Literal["base64", "numbers"] = "base64"
    grouping: tuple[Literal["insutype", "clr_type", "refd_setl_flag"], ...] = ("insutype", "clr_type", "refd_setl_flag")
    balanced: tuple[str, ...] = ("0",)
    missing_share: float = Field(0.2, gt=0, le=1)
    missing_rows: int = Field(20, ge=0)
    closed_at: str = Field("06:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")


class AccountsSettings(_Section):
    """Reconciliation and what hangs on it.  evening, morning: cron lines, China time; shifts: when each begins; statements: by the name
    of a gateway, what its centre writes otherwise than ``statement`` says."""

    reconcile: bool = True
    evening: str = "30 22 * * *"
    morning: str = "30 7 * * *"
    shifts: tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...] = ("00:00",)
    prepaid_yuan: int = Field(default=0, ge=0)
    rules_file: Path | None = None
    statement: StatementSettings = StatementSettings()  # type: ignore[call-arg]
    statements: dict[str, StatementSettings] = Field(default_factory=dict)


class SweepSettings(_Section):
    """Registrations that nobody settled, cancelled at the centre.  at: cron, China time; registrations_after_h: how long nothing may
    have happened to one, 0 = none is cancelled; stays_after_d: the same for the stay of a patient who was discharged."""

    at: str = "20 3 * * *"
    registrations_after_h: int = Field(default=72, ge=0)
    stays_after_d: int = Field(default=0, ge=0)


class CatalogueSettings(_Section):
    """Catalogues (13xx, 1901) and the mapping of the hospital's own items (3301, 3302); a file of their own beside the ledger.

    layouts_file: how each catalogue's file is laid out; first_version, since: what the first download asks with; file_mark: the field
    of 9102 that says ``plc``; page_rows, upload_rows: rows of one call; file_deadline: seconds for one file; fill: lines without
    a national code get it from the mapping, and unmapped items stop the upload; dictionaries: the types 1901 is asked for."""

    file: Path = Path("catalogues.db")
    layouts_file: Path | None = None
    first_version: str = Field("0", max_length=20)
    since: str = Field("2000-01-01", pattern=r"^\d{4}-\d{2}-\d{2}$")
    file_mark: Literal["fixmedins_code", "filename"] = "fixmedins_code"
    page_rows: int = Field(100, ge=1, le=9999)
    upload_rows: int = Field(100, ge=1, le=1000)
    file_deadline: float = Field(300.0, gt=0)
    fill: bool = False
    dictionaries: list[str] = Field(default_factory=list)


class ConsoleSettings(_Section):
    """The pages for people.  users_file: its users and their sessions; idle_minutes, session_hours: how long a session lives unused,
    and at all; password_days: after so many days another password must be chosen, 0 for never."""

    users_file: Path = Path("console.db")
    idle_minutes: float = Field(default=15.0, gt=0, le=480)
    session_hours: float = Field(default=12.0, gt=0, le=24)
    password_days: int = Field(default=90, ge=0)


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

    @property
    def anchors_path(self) -> Path:
        """The anchors' file; by default beside the ledger and named after it, since each ledger has its own."""
        named = self.settings.ledger.anchors_file
        if named is not None:
            return self.path(named)
        if self.is_shared:
            return self.path(Path("anchors.jsonl"))
        return self.ledger_path.with_name(self.ledger_path.name + ".anchors.jsonl")

    @cached_property
    def master_key_path(self) -> Path:
        return self.path(self.settings.ledger.master_key_file)

    def secrets(self, gateway: GatewaySettings) -> dict[str, Secret]:
        """A gateway's secrets, each from its own file that only the owner can read.  Raises: ConfigError."""
        return {name: read_secret(self.path(path)) for name, path in gateway.secret_files.items()}


def read_secret(path: Path) -> Secret:
    """The text of a secret file.  Raises: ConfigError when it is missing, empty, or others can read it."""
    try:
        text = read_key_file(path, KEY_TEXT_BYTES_MAX).decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"secret file {path.name}: no UTF-8 text") from None
    if not text:
        raise ConfigError(f"secret file {path.name}: empty")
    return Secret(text)


def load_config(path: Path) -> Config:
    """The configuration of one file.  Raises: ConfigError naming every wrong key, with the one that may have been meant."""
    if not path.is_file():
        raise ConfigError(f"no configuration file {path}; see docs/reference/configuration.md")
    faults = _unknown_variables()
    try:
        values = TomlConfigSettingsSource(Settings, path)()
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_fault_line(row["loc"], row["type"], row["msg"]) for row in error.errors(include_input=False)]
    except ValueError as error:
        faults.append(str(error))
    if faults:
        raise ConfigError(f"{path.name}: " + "; ".join(faults)) from None
    return Config(settings, path.resolve().parent)


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    """Every key by its dotted path; the sections of a list (``clients``) and of a table have no index in it."""
    found: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        found[path] = info
        section = section_of(info)
        if section is not None:
            found |= known_keys(section, f"{path}.")
    return found


def section_of(info: FieldInfo) -> type[BaseModel] | None:
    """The section that a key holds, one or a list of them; None for a plain value."""
    wanted = [info.annotation]
    while wanted:
        one = wanted.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        wanted.extend(get_args(one))
    return None


def _fault_line(place: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(map(str, place))
    if not place:
        return message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{path}: no such key{_meant('.'.join(str(one) for one in place if not isinstance(one, int)))}"
    return f"{path}: {message}"


def _meant(path: str) -> str:
    """The known key nearest to a wrong one: the same name in another section, or one spelt nearly so."""
    keys = list(known_keys())
    name = path.rpartition(".")[2]
    same = [key for key in keys if key.rpartition(".")[2] == name]
    near = same or get_close_matches(path, keys, 1, 0.75) or get_close_matches(name, keys, 1, 0.75)
    return f"; did you mean {near[0]}?" if near else ""


def _unknown_variables() -> list[str]:
    """Faults of ``YB_…`` variables that name no key: they would be passed over without a word."""
    keys = known_keys()
    tables = tuple(f"{key}." for key, info in keys.items() if "dict[" in str(info.annotation))
    faults = []
    for name in sorted(os.environ):
        path = name.upper().removeprefix("YB_").lower().replace("__", ".")
        if name.upper().startswith("YB_") and path not in keys and not path.startswith(tables):
            faults.append(f"environment variable {name}: no such key{_meant(path)}")
    return faults
