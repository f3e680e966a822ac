"""Clients of the service, their roles and what a role may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adapter_core.sidecar.access.refusals import Forbidden


class Right(StrEnum):
    """What a call needs.  Each route names one."""

    SETTLE = "settle"
    """Register, charge, settle, void, acknowledge; any message of a HIS."""
    READ = "read"
    """States, amounts and lists of cases."""
    DECIDE = "decide"
    """Close what waits for a person; reconcile."""
    PAPER = "paper"
    """Open, show, submit and revoke manual-reimbursement papers."""
    AUDIT = "audit"
    """Timelines of every case, the journal's check and export."""
    WATCH = "watch"
    """Provinces, metrics and health in detail: no patient's data."""
    UNSEAL = "unseal"
    """A person's data in clear and the messages as they crossed the wire; each reading is journalled."""
    STAFF = "staff"
    """The console's users and their roles."""


ROLES_WITH: dict[Right, frozenset[str]] = {
    Right.SETTLE: frozenset({"his", "cashier"}),
    Right.READ: frozenset({"his", "cashier", "operator", "auditor"}),
    Right.DECIDE: frozenset({"operator"}),
    Right.PAPER: frozenset({"his", "cashier", "operator"}),
    Right.AUDIT: frozenset({"auditor"}),
    Right.WATCH: frozenset({"his", "cashier", "operator", "auditor", "admin"}),
    Right.UNSEAL: frozenset({"operator", "auditor"}),
    Right.STAFF: frozenset({"admin"}),
}


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, as the socket knows it.

    address: its IP address, "" for a local socket; certificate: its own certificate in DER, b"" without mTLS;
    listener: the configured ``host:port`` of ours that it came in by.
    """

    address: str
    certificate: bytes = b""
    listener: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A known caller.

    institutions: the ``fixmedins_code`` it may act for; proved_by: bearer, hmac-sm3, certificate, address, csb, x-tif or x-ca;
    key_id: which of its keys, for the log.
    """

    name: str
    roles: frozenset[str]
    institutions: frozenset[str]
    proved_by: str = "bearer"
    key_id: str = ""

    def may(self, right: Right) -> bool:
        return not self.roles.isdisjoint(ROLES_WITH[right])

    def demand(self, right: Right) -> None:
        """Raises: Forbidden."""
        if not self.may(right):
            raise Forbidden(f"client {self.name} has no role with the right to {right}")

    def demand_institution(self, fixmedins_code: str) -> None:
        """Raises: Forbidden."""
        if fixmedins_code not in self.institutions:
            raise Forbidden(f"client {self.name} doesn't act for this institution", code="INSTITUTION_FORBIDDEN")
