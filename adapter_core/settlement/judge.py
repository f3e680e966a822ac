"""What is known of one call: APPLIED, REJECTED, NOT_SENT or UNKNOWN, and nothing else (`reliability.md` §1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from adapter_core.province.gateway import Gateway
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.policy import Reason
from adapter_core.settlement.amounts import broken_identities
from adapter_core.settlement.states import Result
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.frames import Frame

SIGN_IN_INVALID = "SIGN_IN_INVALID"
"""A call refused before it was processed: sign in again, a new msgid, the same case, once."""

CENTRE_AWAY = "CENTRE_AWAY"
"""The code of a reply that a proxy wrote for a centre that is away: nothing is known of the call."""
PROXY_STATUSES = frozenset({502, 503, 504})
"""RFC 9110 §15.6.  500 may be the centre's own refusal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """result with the code and text that explain it; content only where the reply may be believed.

    is_refusal: the centre itself said no, also where its words are not definite and the result is UNKNOWN.
    """

    result: Result
    code: str = ""
    text: str = ""
    reason: Reason | None = None
    content: Content = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    is_refusal: bool = False


def judge(gateway: Gateway, call: Call, frame: Frame) -> Verdict:
    """The verdict on a whole reply.  Nothing is believed before every check of the call's class has passed."""
    try:
        return _judged(gateway, call, gateway.decode(call, frame), frame.status)
    except Exception as error:  # the guard of the contract: a plugin that trips over a reply leaves the outcome unknown
        return Verdict(Result.UNKNOWN, "PLUGIN_FAILED", type(error).__name__)


def _judged(gateway: Gateway, call: Call, reply: Reply, status: int | None) -> Verdict:
    if reply.mark is Mark.UNREADABLE:
        return Verdict(Result.UNKNOWN, CENTRE_AWAY if status in PROXY_STATUSES else "REPLY_UNREADABLE", reply.text)
    if reply.mark is Mark.REFUSED:
        return _refused(gateway, call, reply)
    contradictions = reply_contradictions(gateway, call, reply)
    if contradictions and call.kind_class in ("N", "K"):
        # a reply that is ours by its echoes names the trade, whatever else is wrong with it; nothing more is taken from it
        refs = dict(reply.refs) if not gateway.echo_faults(call, reply) else {}
        return Verdict(Result.UNKNOWN, "REPLY_CONTRADICTS", "; ".join(contradictions), refs=refs)
    if contradictions and call.kind_class == "P":
        return Verdict(Result.REJECTED, "TRIAL_UNBALANCED", "; ".join(contradictions))
    return Verdict(Result.APPLIED, reply.code, reply.text, None, reply.content, dict(reply.refs), reply.warnings)


def _refused(gateway: Gateway, call: Call, reply: Reply) -> Verdict:
    reason = gateway.policy.reason_of(reply.text)
    verdict = Verdict(Result.REJECTED, reply.code, reply.text, reason, is_refusal=True)
    if any(text in reply.text for text in gateway.policy.sign_in_texts) and call.kind_class != "session":
        return Verdict(Result.REJECTED, SIGN_IN_INVALID, reply.text, reason)
    unknown = replace(verdict, result=Result.UNKNOWN)
    if call.kind_class in ("N", "K"):
        stage = "refund" if gateway.route.takes_back_money(call.step) else "settle"
        definite = not gateway.capabilities.may_repeat and gateway.policy.is_definite(stage, reply.code, reply.text)
        return verdict if definite else unknown
    if call.kind_class == "C":
        return unknown if reason is not None and reason.pipeline == "adopt" else verdict
    return verdict


def reply_contradictions(gateway: Gateway, call: Call, reply: Reply) -> list[str]:
    """What in an OK reply contradicts the call: echoes, sums, the claimed total, a missing ``setl_id``."""
    if call.kind_class == "K":  # it commits or discards amounts that were told before
        return [f"echo {name} differs" for name in gateway.echo_faults(call, reply)]
    if call.kind_class not in ("N", "P"):
        return []
    result = reply.content.get("result", {})
    faults = [f"echo {name} differs" for name in gateway.echo_faults(call, reply)]
    faults += broken_identities(result, gateway.capabilities.shared_account_outside)
    if call.kind_class == "N" and not result.get("setl_id"):
        faults.append("setl_id is missing")
    faults += _total_faults(call, result, gateway.route.takes_back_money(call.step))
    return faults


def _total_faults(call: Call, result: Content, is_refund: bool) -> list[str]:
    claimed = call.content.get("settle", {}).get("medfee_sumamt")
    told = result.get("medfee_sumamt")
    if claimed is None or told is None:
        return []
    # a refund may come as the settlement's amounts or as their negatives
    same = Decimal(told) == Decimal(claimed) or (is_refund and -Decimal(told) == Decimal(claimed))
    return [] if same else [f"medfee_sumamt {told} is not the {claimed} asked"]
