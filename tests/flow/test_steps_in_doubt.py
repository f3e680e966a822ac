"""A step that moves no money, taken by a centre that then hangs: told as not known, never as not sent; the repeat asks first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapter_core.ledger.sealing import create_master_key
from adapter_core.settlement.records import Change
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import LedgerUnavailable
from tests.flow.conftest import Window
from tests.flow.hospital import Hospital, assert_invariants, line, message
from tests.flow.served import Served, configure, served
from tests.flow.test_chronic import filing
from tests.flow.test_http_local import NEUSOFT, province
from tests.flow.test_inpatient import LEAVING, STAY, day

UNKNOWN = "【结果未知，请勿改自费】"
NOT_SENT_WORDS = ("未发送", "未送达", "未能送达", "没有送出")
WAIT = {"Prefer": "wait=20"}
SOON = {"money_deadline_s": 0.3, "inpatient_deadline_s": 0.3, "read_deadline_s": 0.3}
"""How long a reply is waited for here."""
SILENT = "error(-1,系统异常)"
"""A centre that answers a question and doesn't say: no breaker opens by it."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    create_master_key(tmp_path / "master.key")
    async with Simulator() as centre:
        async with served(centre, configure(tmp_path, centre.url)) as one:
            one.hospital.can(**SOON)
            yield one
        assert_invariants(centre, tmp_path)


async def register(service: Served, **said: Any) -> httpx.Response:
    tree = {name: message()[name] for name in ("person", "operator", "visit", "diagnoses")} | said
    return await service.http.put("/v1/encounters/V1", content=json.dumps(tree, ensure_ascii=False), headers=WAIT)


async def upload(service: Served, *amounts: str) -> httpx.Response:
    fees = [line(f"F{number}", amount) for number, amount in enumerate(amounts)]
    said = {"visit_key": "V1", "fees": fees, "settle": message()["settle"]}
    return await service.post("/v1/encounters/V1/fees", said, headers=WAIT)


async def doubts(service: Served) -> list[str]:
    found: list[str] = (await service.get("/v1/encounters/V1")).json()["in_doubt"]
    return found


def is_in_doubt(told: httpx.Response, what: str) -> bool:
    answer: dict[str, Any] = {"state": "", **told.json()}
    text = answer["message_zh"]
    assert (told.status_code, answer["state"], answer["code"]) == (202, "PENDING", "STEP_UNKNOWN"), answer
    assert text.startswith(f"{what}已送出"), text
    assert "结果待查" in text
    assert "请用同一报文重试" in text
    assert not [words for words in NOT_SENT_WORDS if words in text]
    return bool(answer["next"] == ["repeat_same_key"])


def is_done(told: httpx.Response) -> bool:
    assert told.status_code == 200, told.text
    return bool(told.json()["state"] == "DONE")


def visits(hospital: Hospital) -> list[Any]:
    """Those that were made here."""
    return [one for one in hospital.truth["visits"] if one["msgid"]]


# -- /v1/encounters


async def test_a_registration_nobody_answered_for_is_asked_for_before_it_is_sent_again(service: Served) -> None:
    service.hospital.rule("2201", "hang(60)")
    assert is_in_doubt(await register(service), "挂号登记（2201）")
    assert await doubts(service) == ["register"]
    service.hospital.rules([])
    before = len(service.hospital.calls)
    again = await register(service)
    assert is_done(again)
    assert service.hospital.calls[before:] == ["5201", "2201"]
    assert again.json()["encounter"]["in_doubt"] == []
    assert len(visits(service.hospital)) == 1


async def test_a_registration_that_was_made_is_found_by_the_repeat(service: Served) -> None:
    service.hospital.rules([
        {"infno": "2201", "actions": ["commit", "hang(60)"]}, {"infno": "5201", "actions": [SILENT]},
    ])  # fmt: skip
    assert is_in_doubt(await register(service), "挂号登记（2201）")
    assert is_in_doubt(await register(service), "挂号登记（2201）"), "the same while nobody answers"
    service.hospital.rules([])
    assert is_done(await register(service))
    assert service.hospital.calls.count("2201") == 1
    assert len(visits(service.hospital)) == 1


async def test_a_doubt_stays_one_while_the_centre_is_out_of_reach(service: Served) -> None:
    service.hospital.rule("2201", "hang(60)")
    assert is_in_doubt(await register(service), "挂号登记（2201）")
    service.hospital.rule(None, "refuse(600)")
    assert is_in_doubt(await register(service), "挂号登记（2201）")
    service.hospital.rules([])
    assert is_done(await register(service))


async def test_a_sign_in_that_is_refused_meanwhile_ends_no_doubt(service: Served) -> None:
    service.hospital.rule("2201", "hang(60)")
    assert is_in_doubt(await register(service), "挂号登记（2201）")
    service.hospital.can(sign_in="operator_day")
    service.hospital.rule("9001", "error(-1,操作员已停用)")
    told = await register(service)
    assert is_in_doubt(told, "挂号登记（2201）")
    assert "本次被医保中心拒绝：操作员已停用" in told.json()["message_zh"]
    service.hospital.rules([])
    assert is_done(await register(service))


async def test_a_second_try_that_never_left_leaves_the_first_in_doubt(service: Served) -> None:
    """The first 2202 was taken: were its doubt gone, lines would go up under a registration that no longer is."""
    assert is_done(await register(service))
    service.hospital.rule("2202", "commit", "hang(60)")
    assert is_in_doubt(await service.http.delete("/v1/encounters/V1"), "挂号撤销（2202）")
    service.hospital.rule(None, "refuse(600)")
    assert is_in_doubt(await service.http.delete("/v1/encounters/V1"), "挂号撤销（2202）")
    assert await doubts(service) == ["register"]
    service.hospital.rules([])
    assert is_done(await service.http.delete("/v1/encounters/V1"))
    assert [one["cancelled"] for one in visits(service.hospital)] == [True]


async def test_lines_nobody_answered_for_are_taken_back_before_they_go_up_again(service: Served) -> None:
    assert is_done(await register(service))
    service.hospital.rule("2204", "commit", "hang(60)")
    assert is_in_doubt(await upload(service, "10.00"), "费用明细上传（2204）")
    assert await doubts(service) == ["fees"]
    service.hospital.rules([])
    before = len(service.hospital.calls)
    assert is_done(await upload(service, "10.00"))
    assert service.hospital.calls[before:] == ["2205", "2204"]
    assert [len(one["lines"]) for one in visits(service.hospital)] == [1]


async def test_an_admission_and_a_discharge_nobody_answered_for(service: Served) -> None:
    stay = {"kind": "inpatient", "visit": STAY}
    service.hospital.rule("2401", "hang(60)")
    assert is_in_doubt(await register(service, **stay), "入院登记（2401）")
    service.hospital.rules([])
    assert is_done(await register(service, **stay))
    lines, order = {"fees": day(1, "30.00"), "settle": {"mid_setl_flag": "0"}}, {"visit": {**STAY, **LEAVING}}
    assert is_done(await service.post("/v1/encounters/V1/fees", lines, headers=WAIT))
    service.hospital.rule("2402", "commit", "hang(60)")
    assert is_in_doubt(await service.post("/v1/encounters/V1/discharge", order, headers=WAIT), "出院登记（2402）")
    service.hospital.rules([])
    assert is_done(await service.post("/v1/encounters/V1/discharge", order, headers=WAIT))


async def test_what_never_left_is_told_so_and_is_in_no_doubt(service: Served) -> None:
    assert is_done(await register(service))
    assert is_done(await upload(service, "10.00", "20.00"))
    service.hospital.rule(None, "refuse(600)")
    told = await service.http.delete("/v1/encounters/V1/fees/F1")
    assert (told.status_code, told.json()["state"], told.json()["code"]) == (200, "NOT_SENT", "CONNECT_FAILED")
    assert await doubts(service) == []
    service.hospital.rules([])


async def test_a_question_without_an_answer_changed_nothing(service: Served) -> None:
    service.hospital.rule("1101", "hang(60)")
    told = (await register(service)).json()
    assert (told["state"], told["code"]) == ("NOT_SENT", "NO_REPLY")
    assert "没有应答" in told["message_zh"]
    assert "未能送达" not in told["message_zh"]
    assert await doubts(service) == []


# -- in a settlement's chain: no money call left, so the case is NOT_SENT; its words say what is in doubt


async def test_a_settlement_stopped_by_an_upload_in_doubt_says_so(service: Served) -> None:
    service.hospital.rule("2204", "commit", "hang(60)")
    bill = {name: value for name, value in message().items() if name != "intent"}
    told = (await service.post("/v1/settlements", bill, headers=WAIT)).json()
    assert (told["state"], told["code"], told["next"]) == ("NOT_SENT", "STEP_UNKNOWN", ["repeat_same_key", "manual"])
    text = told["message_zh"]
    assert text.startswith("费用明细上传（2204）已送出")
    assert "结算没有送出，没有产生结算" in text
    assert "未能送达" not in text
    service.hospital.rule(None, "refuse(600)")
    away = (await service.post("/v1/settlements", bill, headers=WAIT)).json()
    assert (away["state"], away["code"]) == ("NOT_SENT", "CONNECT_FAILED")
    assert "费用明细上传（2204）已送出" in away["message_zh"], "still in doubt, whatever else goes wrong"
    service.hospital.rules([])
    assert (await service.post("/v1/settlements", bill, headers=WAIT)).json()["state"] == "SETTLED"
    assert service.hospital.settlements == ["settled"]


# -- filings


async def test_a_filing_whose_question_was_lost_too_is_not_told_as_not_sent(hospital: Hospital) -> None:
    hospital.rules([{"infno": "2503", "actions": ["commit", "drop"]}, {"infno": "5301", "actions": [SILENT]}])
    for _ in range(2):
        told = await hospital.say(filing())
        assert (told.state, told.code) == ("PENDING", "FILING_UNKNOWN"), told.text
        assert told.outcome.next == ("repeat_same_key",)
    hospital.rules([])
    assert (await hospital.say(filing())).state == "DONE"
    assert hospital.calls.count("2503") == 1


# -- a ledger that is lost on the way


@contextmanager
def ledger_lost(hospital: Hospital, kind: str, step: str) -> Iterator[None]:
    """No event of this kind can be written of this step."""
    ledger = hospital.running.ledger
    commit = ledger.commit

    async def failing(change: Change) -> int:
        if any((event.kind, event.data.get("step")) == (kind, step) for event in change.events):
            raise LedgerUnavailable("no space")
        return await commit(change)

    ledger.commit = failing  # type: ignore[method-assign]
    yield
    ledger.commit = commit  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", ["REPLY", "OUTCOME"])
async def test_a_ledger_lost_after_a_registration_left_is_told_as_not_known(service: Served, kind: str) -> None:
    with ledger_lost(service.hospital, kind, "register"):
        assert is_in_doubt(await register(service), "挂号登记（2201）")
    assert is_done(await register(service))
    assert service.hospital.calls.count("2201") == 1
    assert len(visits(service.hospital)) == 1


async def test_a_ledger_lost_before_a_registration_left_is_told_as_not_sent(service: Served) -> None:
    with ledger_lost(service.hospital, "INTENT", "register"):
        told = await register(service)
    assert (told.status_code, told.json()["code"]) == (503, "LEDGER_UNAVAILABLE")
    assert "2201" not in service.hospital.calls


async def test_the_drop_in_hears_of_an_upload_that_left_before_the_ledger_was_lost(
    windows: Callable[..., Awaitable[Window]],
) -> None:
    service, his = await windows()
    psn_no = (await his.identify())["psn_no"]
    mdtrt_id = (await his.register(psn_no, "OP1"))["output"]["data"]["mdtrt_id"]
    with ledger_lost(service.hospital, "OUTCOME", "relay"):
        said = await his.call("2402", {"dscginfo": {"psn_no": psn_no, "mdtrt_id": mdtrt_id}})
        asked = await his.call("5201", {"data": {"psn_no": psn_no}})
    assert said["err_msg"].startswith(f"{UNKNOWN}没有得到医保中心的可信应答")
    assert UNKNOWN not in asked["err_msg"], "a question changed nothing"


# -- the drop-in


async def test_the_drop_in_says_unknown_and_its_repeat_asks_first(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows()
    service.hospital.can(**SOON)
    psn_no = (await his.identify())["psn_no"]
    service.hospital.rule("2201", "hang(60)")
    unknown = await his.register(psn_no, "OP1")
    assert unknown["infcode"] == -1
    assert unknown["err_msg"].startswith(f"{UNKNOWN}挂号登记（2201）已送出")
    assert "请用同一报文重试，系统会先查询再决定是否重发" in unknown["err_msg"]
    assert len(unknown["err_msg"]) <= 200
    assert await his.register(psn_no, "OP1") == unknown
    service.hospital.rules([])
    before = len(service.hospital.calls)
    assert (await his.register(psn_no, "OP1"))["infcode"] == 0
    assert service.hospital.calls[before:] == ["5201", "2201"]
    assert len(visits(service.hospital)) == 1


async def test_the_drop_in_hears_504_where_it_wants_it_and_of_uploads_too(
    windows: Callable[..., Awaitable[Window]],
) -> None:
    service, his = await windows(as_504=True)
    service.hospital.can(**SOON)
    psn_no = (await his.identify())["psn_no"]
    mdtrt_id = (await his.register(psn_no, "OP1"))["output"]["data"]["mdtrt_id"]
    service.hospital.rules([
        {"infno": number, "nth": None, "actions": ["commit", "drop"]} for number in ("2201", "2402", "5201")
    ])  # fmt: skip
    other = {"data": {"psn_no": psn_no, "ipt_otp_no": "OP2", "begntime": "2026-11-21 09:00:00"}}
    lost = await his.send("2201", other)
    assert lost.status_code == 504
    assert lost.json()["err_msg"].startswith(UNKNOWN)
    sent = await his.send("2402", {"dscginfo": {"psn_no": psn_no, "mdtrt_id": mdtrt_id}})
    assert sent.status_code == 504
    assert sent.json()["err_msg"].startswith(f"{UNKNOWN}没有得到医保中心的可信应答")
    asked = await his.send("5201", {"data": {"psn_no": psn_no}})
    assert asked.status_code == 200, "a question without an answer changed nothing"
    assert UNKNOWN not in asked.json()["err_msg"]


async def test_an_admission_still_under_way_is_no_failure_either(windows: Callable[..., Awaitable[Window]]) -> None:
    service, his = await windows(hold_s=0.3, as_504=True)
    psn_no = (await his.identify())["psn_no"]
    service.hospital.rule("2401", "hang(60)")
    stay = {"psn_no": psn_no, "ipt_no": "ZY0001", "begntime": "2026-11-21 09:00:00", "med_type": "21"}
    for _ in range(2):
        told = await his.send("2401", {"mdtrtinfo": stay, "diseinfo": []})
        assert told.status_code == 504
        assert told.json()["err_msg"].startswith(f"{UNKNOWN}正在上传医保中心，尚未完成")
    assert service.hospital.calls.count("2401") == 1


# -- a local dialect


async def test_a_local_dialect_says_unknown_in_its_own_form_and_its_repeat_asks_first(tmp_path: Path) -> None:
    lines = (NEUSOFT / "2310.request.txt").read_bytes()
    async with province(tmp_path, "jiangxi") as (service, _):
        service.hospital.can(**SOON)
        service.hospital.rule("2201", "hang(60)")
        path, kind = "/his/jiangxi-neusoft", {"Content-Type": "text/plain; charset=utf-8"}
        said = lines.decode("gb18030").encode()
        told = (await service.http.post(path, content=said, headers=kind)).content.decode()
        form, _, text = told.partition("\n")
        assert form == "ret=-1", told
        assert text.startswith(f"{UNKNOWN}挂号登记（2201）已送出")
        assert not [words for words in NOT_SENT_WORDS if words in text]
        service.hospital.rules([])
        before = len(service.hospital.calls)
        again = await service.http.post(path, content=said, headers=kind)
        assert not again.content.startswith(b"ret=-"), again.content.decode()
        assert service.hospital.calls[before:][:2] == ["5201", "2201"]
        assert service.hospital.calls[-1] == "2204"
