"""Downtime notices: planned ones from a file, unplanned ones from open circuits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter_core.centre.breaker import Outage
from adapter_core.centre.notices import Notices, load_planned, parse_planned
from adapter_core.values.errors import ConfigError

PLANNED = """
[[notices]]
admdvs = "36"
from = "2026-12-31 18:00:00"
to = "2027-01-01 08:00:00"
text = "年终清算，暂停医保结算"
source = "江西省医疗保障局 公告"

[[notices]]
admdvs = ""
from = "2026-12-31 12:00:00"
to = "2026-12-31 19:00:00"
text = "国家平台升级"
source = "国家医保信息平台 通知"
"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_planned_notices_hold_from_their_first_to_before_their_last_moment() -> None:
    notices = Notices(parse_planned(PLANNED, "notices.toml"), tuple)
    texts = {
        moment: [notice.text for notice in notices.current(at(moment))]
        for moment in ("2026-12-31 03:59:59", "2026-12-31 10:00:00", "2026-12-31 11:00:00", "2027-01-01 00:00:00")
    }
    assert list(texts.values()) == [
        [],
        ["国家平台升级", "年终清算，暂停医保结算"],
        ["年终清算，暂停医保结算"],
        [],
    ]
    (notice,) = notices.current(at("2026-12-31 12:00:00"))
    assert (notice.kind, notice.admdvs, notice.source) == ("planned", "36", "江西省医疗保障局 公告")
    assert notice.since == at("2026-12-31 10:00:00")


def test_all_faults_of_a_file_at_once() -> None:
    wrong = """
    colour = "red"
    [[notices]]
    admdvs = "361"
    from = "2026-12-31"
    to = "2027-01-01 08:00:00"
    text = " "
    source = 7
    [[notices]]
    admdvs = "00"
    from = "2026-12-31 18:00:00"
    to = "2026-12-31 18:00:00"
    text = "年终清算"
    source = "公告"
    until = "2027"
    """
    with pytest.raises(ConfigError) as caught:
        parse_planned(wrong, "notices.toml")
    for place in ("colour", *(f"notices[1].{key}" for key in ("admdvs", "from", "text", "source"))):
        assert f"{place}" in str(caught.value)
    for place in ("notices[2].admdvs", "notices[2].to", "notices[2].until"):
        assert place in str(caught.value)
    assert "notices[1].to" not in str(caught.value)


@pytest.mark.parametrize("text", ["notices = 3", "[notices]\na = 1", "[[notices]", "[[notices]]"])
def test_what_is_no_list_of_notices(text: str) -> None:
    with pytest.raises(ConfigError, match=r"notices\.toml"):
        parse_planned(text, "notices.toml")


def test_a_file_with_a_mark_in_front_or_no_file(tmp_path: Path) -> None:
    file = tmp_path / "notices.toml"
    file.write_bytes(PLANNED.encode("utf-8-sig"))
    assert len(load_planned(file)) == 2
    file.write_bytes(PLANNED.encode("gb18030"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load_planned(file)
    with pytest.raises(ConfigError):
        load_planned(tmp_path / "missing.toml")


def test_an_outage_is_one_notice_per_endpoint_and_turns_to_the_manual_path_after_ten_minutes() -> None:
    since = at("2026-11-21 02:32:00")
    lasted_s = 600.0
    late = since + timedelta(minutes=5)

    def outages() -> list[Outage]:
        return [
            Outage("national", "money", late, lasted_s - 300),
            Outage("national", "read", since, lasted_s),
            Outage("other", "money", late, 1.0),
        ]

    notices = Notices((), outages)
    national, other = notices.current(since)
    assert (national.endpoint, national.since, national.until) == ("national", since, None)
    assert national.text == "医保接口自 11-21 10:32 起中断，暂停：查询、结算"
    assert "手工报销" not in national.advice
    lasted_s = 600.1
    national, other = notices.current(since)
    assert "未发送的结算可改走手工报销" in national.advice
    assert "结果待查" in national.advice
    assert "手工报销" not in other.advice
