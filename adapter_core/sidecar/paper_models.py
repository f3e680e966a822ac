"""What crosses the paths of `papers`, as types for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from adapter_core.sidecar.models import Amount, Key, StateText

Said = Annotated[str, Meta(min_length=1, max_length=200)]
Serial = Annotated[str, Meta(description="LX, the day, eight digits")]


class PaperOrder(Struct):
    """All of it may be left out: then the standing papers are shown again.  ``settlement``: the body of ``POST /v1/settlements``,
    for a visit that was never tried, or whose fees changed."""

    reason: Annotated[str, Meta(max_length=64, description="a code of the reasons' catalogue")] = ""
    situations: Annotated[list[Key], Meta(max_length=10)] = field(default_factory=list)
    insuplc_admdvs: Annotated[str, Meta(pattern=r"^\d{6}$")] = "000000"
    settlement: dict[str, Any] | None = None


class PaperAnswer(Struct):
    """A set of papers, without the person."""

    serial: Serial
    version: str
    state: StateText
    hash: str
    position: str
    total: Amount
    issued_at: str
    sealed_line: str
    visit_key: str
    case_id: str
    is_new: bool
    why: dict[str, str]
    pdf: str
    json: str


class PaperRevocation(Struct):
    red_invoice: Said
    reason: Said
    withdrawal: Said = "-"


class PaperSubmission(Struct):
    to: Said = "-"


class PaperResult(Struct):
    result: Said = "-"


class PaperState(Struct):
    serial: Serial
    visit_key: str
    state: StateText


class PaperQuestion(Struct):
    """``text``: the line of the QR code, or the serial."""

    text: Annotated[str, Meta(min_length=1, max_length=600)]


class PaperVerdict(Struct):
    verdict: Literal["VALID", "SUBMITTED", "CLOSED", "SUPERSEDED", "REVOKED", "FORGED", "UNKNOWN"]
    counts: bool
    message_zh: str
    serial: str
    version: str
    total: str
    is_signed: bool | None


class PaperKey(Struct):
    algorithm: Literal["SM2", "Ed25519"]
    key_id: str
    public_key: Annotated[str, Meta(description="hex")]


class BatchOrder(Struct):
    employer: Said
    serials: Annotated[list[Key], Meta(min_length=1, max_length=200)]
    handed_to: Said = "-"


class ReceiptOrder(Struct):
    paper: Literal["a4", "a5", "241"] = "a4"
