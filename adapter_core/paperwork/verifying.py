"""Whether a set of papers still counts.  The seal says who made it and that nothing was changed; the ledger says the rest.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_core.paperwork.seals import PublicKey, SealedLine
from adapter_core.settlement.records import Case
from adapter_core.settlement.states import State

VERDICTS = {
    "VALID": "有效",
    "SUBMITTED": "有效，已登记交参保地经办机构",
    "CLOSED": "已办结",
    "SUPERSEDED": "该版本已作废，以新版本为准",
    "REVOKED": "已撤销作废",
    "FORGED": "签名或内容与本院记录不符，疑为伪造或篡改",
    "UNKNOWN": "本院没有这份材料的记录",
    "SIGNED": "签名属实；是否仍然有效请向开具医院查询",
}
COUNTS = frozenset({"VALID", "SUBMITTED", "CLOSED"})


@dataclass(frozen=True, slots=True)
class Verified:
    """verdict: one of VERDICTS.  version, total: of the set that was asked about, "" where only a serial was given and unknown.
    is_signed: whether the line's signature is the hospital's; None without a line, or where its key isn't at hand."""

    verdict: str
    serial: str
    version: str = ""
    total: str = ""
    is_signed: bool | None = None

    @property
    def counts(self) -> bool:
        return self.verdict in COUNTS

    @property
    def message_zh(self) -> str:
        return f"{self.serial}：{VERDICTS[self.verdict]}"


def verified(
    serial: str, line: SealedLine | None, key: PublicKey, case: Case | None, document: Mapping[str, Any] | None
) -> Verified:
    """At the hospital, by its ledger.  document: the version that the line names, as journalled."""
    signed = line.is_signed_by(key) if line and line.key_id == key.key_id else None
    facts = {"version": str(line.version), "total": line.total} if line else {}
    if signed is False:
        return Verified("FORGED", serial, **facts, is_signed=False)
    if case is None:
        return Verified("UNKNOWN", serial, **facts, is_signed=signed)
    paper = case.data["paper"]
    if line is None:
        facts = {"version": str(paper["version"]), "total": str(paper.get("total", ""))}
    elif document is None or (document["hash"], document["total"]) != (line.content_hash, line.total):
        return Verified("FORGED", serial, **facts, is_signed=signed)
    if case.state is State.MANUAL_REVOKED:
        return Verified("REVOKED", serial, **facts, is_signed=signed)
    if line is not None and line.version != int(paper["version"]):
        return Verified("SUPERSEDED", serial, **facts, is_signed=signed)
    verdict = {State.MANUAL_SUBMITTED: "SUBMITTED", State.MANUAL_CLOSED: "CLOSED"}.get(case.state, "VALID")
    return Verified(verdict, serial, **facts, is_signed=signed)


def verified_offline(line: SealedLine, key: PublicKey) -> Verified:
    """Anywhere, by the public key alone: that the hospital signed it, not that it still counts."""
    signed = line.is_signed_by(key)
    return Verified("SIGNED" if signed else "FORGED", line.serial, str(line.version), line.total, signed)
