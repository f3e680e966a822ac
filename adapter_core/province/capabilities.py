"""What a gateway is known to do.  Every default is the pessimistic one but ``reverse_ok`` (`reliability.md` §2, §13)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Declared by a plugin, overridable for a site.  Times in seconds.

    query_after_unknown: ``by_visit`` | ``by_setl_id_only`` | ``none``.
    fees_query: what 5204 shows: ``unsettled`` fee lines too, those of a ``settled`` bill only, or ``unknown``.
    reverse_missing: what 2601 of nothing answers, ``ok`` (proves nothing) | ``error``.
    reverse_window: ``same_day`` | ``until_cleared``.
    reverse_ok: what an OK to 2601 means: ``effective`` | ``effective_after`` | ``nothing``.
    shared_account_outside: ``acct_mulaid_pay`` is not part of ``acct_pay`` here.
    may_repeat: this gateway sends a POST again by itself, so no refusal of a money call is definite.
    sign_in: ``none`` | ``operator_day`` | ``process`` (one session until the adapter starts anew): whose 9001 the calls carry.
    details_stay: lines of a bill that was not settled stay at this centre for the place of insurance to work from, so they are
        uploaded also when papers are opened.
    """

    query_after_unknown: str = "by_setl_id_only"
    query_lag_s: float = 60.0
    late_commit_s: float = 600.0
    second_negative_s: float = 30.0
    fees_query: str = "unknown"
    feedetl_sn_reusable: bool = False
    reverse_missing: str = "ok"
    reverse_window: str = "same_day"
    reverse_ok: str = "effective"
    reverse_ok_after_s: float = 0.0
    same_msgid_dedup: bool = False
    double_settle_refused: bool = False
    shared_account_outside: bool = False
    may_repeat: bool = False
    sign_in: str = "none"
    details_stay: bool = False
    money_deadline_s: float = 30.0
    inpatient_deadline_s: float = 120.0
    read_deadline_s: float = 10.0
