"""The sections of the configuration file, each with its keys, their defaults and their limits."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from adapter_core.province.messages import KINDS
from adapter_core.province.schemes import LOCAL, UNLISTED, schemes
from adapter_core.values.moments import CHINA


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Institution(Section):
    """The hospital or pharmacy (定点医药机构).  gateway: the name of the one that serves it where no route says otherwise; by
    default ``[gateway]``, else the first of ``[gateways.NAME]``."""

    fixmedins_code: str = Field(min_length=1, max_length=30)
    fixmedins_name: str = Field(min_length=1, max_length=200)
    admdvs: str = Field(pattern=r"^\d{6}$")
    defaults: dict[str, str] = Field(default_factory=dict)
    gateway: str | None = None


class LedgerSettings(Section):
    url: str = "sqlite:///ledger.db"
    witness_file: Path | None = None
    master_key_file: Path = Path("keys/master.key")
    anchors_file: Path | None = None
    anchor_copies: list[Path] = Field(default_factory=list)
    anchor_key_file: Path = Path("keys/anchor.key")
    former_anchor_key_files: list[Path] = Field(default_factory=list)


class GatewaySettings(Section):
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


class TimerSettings(Section):
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


class HttpSettings(Section):
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


class FamilySignature(Section):
    """The signature of a province's own family, made by an old HIS with a key that we issued."""

    kind: Literal["csb", "x-tif", "x-ca"]
    account: str = Field(min_length=1)
    secret_file: Path


class ClientSettings(Section):
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


class AlarmMail(Section):
    """Where alarms go by e-mail."""

    host: str
    port: int = Field(default=25, ge=1, le=65535)
    starttls: bool = False
    sender: str
    to: list[str] = Field(min_length=1)
    user: str | None = None
    password_file: Path | None = None


class AlarmSettings(Section):
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


class TracingSettings(Section):
    """OpenTelemetry traces, with the extra ``tracing``: the OTLP/HTTP address of a collector."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://")


class PapersSettings(Section):
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


class RouteSettings(Section):
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


class CutoverSettings(Section):
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


class StatementSettings(Section):
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


class AccountsSettings(Section):
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


class SweepSettings(Section):
    """Registrations that nobody settled, cancelled at the centre.  at: cron, China time; registrations_after_h: how long nothing may
    have happened to one, 0 = none is cancelled; stays_after_d: the same for the stay of a patient who was discharged."""

    at: str = "20 3 * * *"
    registrations_after_h: int = Field(default=72, ge=0)
    stays_after_d: int = Field(default=0, ge=0)


class CatalogueSettings(Section):
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


class ConsoleSettings(Section):
    """The pages for people.  users_file: its users and their sessions; idle_minutes, session_hours: how long a session lives unused,
    and at all; password_days: after so many days another password must be chosen, 0 for never."""

    users_file: Path = Path("console.db")
    idle_minutes: float = Field(default=15.0, gt=0, le=480)
    session_hours: float = Field(default=12.0, gt=0, le=24)
    password_days: int = Field(default=90, ge=0)
