"""Policy: which refusals are definite, and what a refusal means in words.  Data, not code.

The catalogue is `schemas/policy/failure-reasons.json`: reasons with their wording for cashier and patient, and texts seen in
public code and pages.  Centres publish no error codes, so a text is matched, as the last resort, after folding punctuation.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cache

from adapter_core.province.local_rules import LocalRule
from adapter_core.standard.source import schema_file
from adapter_core.values.errors import ContractError

NEVER_DEFINITE = (
    "已结算", "重复结算", "正在办理", "超时", "系统异常", "返参为空", "部平台", "网络", "冲正",
)  # fmt: skip
"""Words that mean an earlier copy, or nothing at all: a money call answered so is UNKNOWN (`reliability.md` §1)."""

_DEFINITE_CLASSES = frozenset({"eligibility", "policy", "data"})
_PUNCTUATION = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a direct settlement fails.

    pipeline: ``refused`` | ``unknown`` | ``adopt``: what the answer means for the money state; next: codes of what to do now.
    unknown_at: stages (settle, refund, reverse) at which the same words leave the outcome unknown.
    """

    code: str
    cashier_zh: str
    patient_zh: str
    reason_class: str
    pipeline: str
    next: tuple[str, ...]
    texts: tuple[str, ...]
    unknown_at: tuple[str, ...]


@cache
def reasons() -> dict[str, Reason]:
    """The whole catalogue, by code, in its order."""
    rows = json.loads(schema_file("policy", "failure-reasons.json").read_text("utf-8"))["reasons"]
    return {
        row["code"]: Reason(
            code=row["code"],
            cashier_zh=row["cashier_zh"],
            patient_zh=row["patient_zh"],
            reason_class=row["class"],
            pipeline=row["pipeline"],
            next=tuple(row["next_actions"]),
            texts=tuple(row["typical_text"]),
            unknown_at=tuple(row.get("outcome_unknown_at") or ()),
        )
        for row in rows
    }


@cache
def action_words() -> dict[str, str]:
    """What each code of ``next`` tells a cashier to do, in Chinese."""
    words: dict[str, str] = tomllib.loads(schema_file("policy", "next-actions.toml").read_text("utf-8"))["actions"]
    return words


def _folded(text: str) -> str:
    return _PUNCTUATION.sub("", text).lower()


TEXT_FIELDS = ("err_msg", "errMsg", "message")
"""Where a reply that was put into another one's text says what is wrong: the national field and the spellings of the families."""
_DEPTH_MAX = 6
_TEXT_MAX = 20_000


def innermost(text: str) -> str:
    """What the centre farthest away said: a platform that passes a refusal on may put the whole reply, as JSON, into its own text.

    The text itself where there is no JSON in it, or none with a text.
    """
    return _layers(text)[-1]


def _layers(text: str) -> list[str]:
    """The text and what is said inside it, outermost first."""
    found = [text]
    while len(found) < _DEPTH_MAX and (inner := _inside(found[-1])):
        found.append(inner)
    return found


def _inside(text: str) -> str:
    start = text.find("{")
    if start < 0 or len(text) > _TEXT_MAX:
        return ""
    try:
        tree, _ = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode(text, start)
    except (ValueError, RecursionError):
        return ""
    return _said(tree)


def _said(tree: object, depth: int = 0) -> str:
    """The text of the deepest record that has one."""
    if not isinstance(tree, dict) or depth > _DEPTH_MAX:
        return ""
    for value in tree.values():
        if deeper := _said(value, depth + 1):
            return deeper
    return next((tree[name] for name in TEXT_FIELDS if isinstance(tree.get(name), str) and tree[name].strip()), "")


@dataclass(frozen=True, slots=True)
class Policy:
    """What one place of care adds to, or takes from, the shipped catalogue.

    texts: this province's own wording → reason code.  definite_codes: ``infcode`` values this gateway lists as definite
    refusals of money calls (none is evidenced anywhere, so empty by default).  narrowed: reason codes that are not definite here.
    absent_texts: words by which this centre's 5203 refuses because there is no such settlement; without them only an empty OK
    reply says so.
    reverse_missing_texts: words by which 2601 says that there is no such original (used only with ``reverse_missing: error``).
    sign_in_texts: words by which a call is refused before it is processed because its ``sign_no`` is not valid: definite.
    reversible: call numbers 2601 may name (`reliability.md` §2; A-variants are not on the default list).
    local_rules: the province's own rules on top of the national ones, for the window; nothing is computed from them.
    """

    texts: tuple[tuple[str, str], ...] = ()
    definite_codes: frozenset[str] = frozenset()
    narrowed: frozenset[str] = frozenset()
    absent_texts: tuple[str, ...] = ()
    reverse_missing_texts: tuple[str, ...] = ()
    sign_in_texts: tuple[str, ...] = ("签到编号无效", "未签到")
    reversible: frozenset[str] = frozenset({"2102", "2103", "2207", "2208", "2304", "2305", "2401"})
    local_rules: tuple[LocalRule, ...] = ()

    def __post_init__(self) -> None:
        unknown = ({code for _, code in self.texts} | self.narrowed) - reasons().keys()
        if unknown:
            raise ContractError(f"policy: no reason {', '.join(sorted(unknown))} in the catalogue")

    def reason_of(self, text: str) -> Reason | None:
        """The reason a centre's text names; None when the text is not known: then it is kept whole and never guessed.

        Of a text with another centre's whole reply in it the innermost one counts.
        """
        folded = _folded(innermost(text))
        if not folded:
            return None
        for own, code in self.texts:
            if _folded(own) in folded:
                return reasons()[code]
        whole = _folded(text)
        for reason in reasons().values():
            # a typical text that is itself a reply is looked for in the whole
            if any(_folded(typical) in (whole if "{" in typical else folded) for typical in reason.texts):
                return reason
        return None

    def is_definite(self, stage: str, code: str, text: str) -> bool:
        """Whether this refusal of a money call proves that nothing was applied.  stage: ``settle`` | ``refund``."""
        if any(word in said for said in _layers(text) for word in NEVER_DEFINITE):
            return False
        if code in self.definite_codes:
            return True
        reason = self.reason_of(text)
        return (
            reason is not None
            and reason.pipeline == "refused"
            and reason.reason_class in _DEFINITE_CLASSES
            and reason.code not in self.narrowed
            and stage not in reason.unknown_at
        )
