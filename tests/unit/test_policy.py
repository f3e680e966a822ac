"""Which refusals of a money call prove that nothing happened, and what a refusal is called."""

from __future__ import annotations

import re

import pytest

from adapter_core.province.policy import NEVER_DEFINITE, Policy, reasons
from adapter_core.values.errors import ContractError

NOT_FILED = "没有获取到异地备案信息!"


def test_a_listed_text_is_recognised_whatever_its_punctuation() -> None:
    for text in (
        NOT_FILED,
        "没有获取到异地备案信息",
        "FSI-没有获取到异地备案信息！[8001]",
        "【没有获取到，异地备案信息】",
    ):
        reason = Policy().reason_of(text)
        assert reason is not None
        assert reason.code == "not_filed"


@pytest.mark.parametrize("text", ["", "  ", "！！", "本中心自有说法", "null", "-1"])
def test_what_is_not_listed_is_never_guessed(text: str) -> None:
    assert Policy().reason_of(text) is None
    assert not Policy().is_definite("settle", "-1", text)


@pytest.mark.parametrize("word", NEVER_DEFINITE)
def test_no_refusal_with_these_words_is_definite_even_where_a_code_is_listed(word: str) -> None:
    policy = Policy(definite_codes=frozenset({"8001"}))
    assert policy.is_definite("settle", "8001", NOT_FILED)
    assert not policy.is_definite("settle", "8001", f"{NOT_FILED}{word}")
    assert not policy.is_definite("settle", "-1", f"{NOT_FILED}{word}")


def test_no_text_of_the_catalogue_is_definite_where_its_reason_is_not() -> None:
    """The catalogue's own texts: definite only for reasons that mean a refusal, at a stage where the outcome is known."""
    for reason in reasons().values():
        for text in reason.texts:
            named = Policy().reason_of(text)
            assert named is not None
            for stage in ("settle", "refund"):
                if Policy().is_definite(stage, "-1", text):
                    assert named.pipeline == "refused"
                    assert named.reason_class in ("eligibility", "policy", "data")
                    assert stage not in named.unknown_at
                    assert not any(word in text for word in NEVER_DEFINITE)


def test_no_text_of_the_catalogue_is_so_short_that_it_matches_by_chance() -> None:
    short = [text for reason in reasons().values() for text in reason.texts if len(re.sub(r"[\W_]+", "", text)) < 3]
    assert short == []


def test_a_province_narrows_the_list() -> None:
    assert Policy().is_definite("settle", "-1", NOT_FILED)
    assert not Policy(narrowed=frozenset({"not_filed"})).is_definite("settle", "-1", NOT_FILED)


def test_a_reason_that_is_not_in_the_catalogue_fails_at_load() -> None:
    for policy in ({"texts": (("字样", "not_filled"),)}, {"narrowed": frozenset({"not_filled"})}):
        with pytest.raises(ContractError, match="not_filled"):
            Policy(**policy)


def test_a_province_adds_its_own_words_and_they_come_first() -> None:
    policy = Policy(texts=(("该人员尚未登记外地就医", "not_filed"),))
    reason = policy.reason_of("错误：该人员尚未登记外地就医。")
    assert reason is not None
    assert reason.code == "not_filed"
    assert policy.is_definite("settle", "-1", "错误：该人员尚未登记外地就医。")
