"""Every fault action of the simulated centre, on real sockets: what the caller sees, and what the centre then holds."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from adapter_core.simulator.faults import Action, read_action, read_rules
from adapter_core.simulator.server import Simulator

PERSON = "T00000000004"
BEGUN = "2026-11-21 09:00:00"


@pytest.fixture
async def centre() -> AsyncIterator[Simulator]:
    async with Simulator() as started:
        yield started


def envelope(infno: str, msgid: str, nodes: Any) -> dict[str, Any]:
    return {
        "infno": infno, "msgid": msgid, "mdtrtarea_admvs": "140100", "insuplc_admdvs": "140100", "recer_sys_code": "his",
        "infver": "V1.0", "opter_type": "1", "opter": "T001", "opter_name": "测试操作员", "inf_time": BEGUN,
        "fixmedins_code": "H14000000001", "fixmedins_name": "测试医院", "sign_no": "", "input": nodes,
    }  # fmt: skip


def request_bytes(centre: Simulator, infno: str, msgid: str, nodes: Any) -> bytes:
    body = json.dumps(envelope(infno, msgid, nodes)).encode()
    head = f"POST /fsi/api HTTP/1.1\r\nHost: {centre.host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@dataclass
class Bill:
    """A visit with uploaded fees, ready to settle."""

    centre: Simulator
    settle: dict[str, Any]

    def bytes(self, msgid: str = "M-PAY", infno: str = "2207") -> bytes:
        return request_bytes(self.centre, infno, msgid, {"data": self.settle})

    async def raw(self, msgid: str = "M-PAY") -> bytes:
        """Everything that comes back on a fresh connection until it ends."""
        reader, writer = await asyncio.open_connection(self.centre.host, self.centre.port)
        try:
            writer.write(self.bytes(msgid))
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.centre.world.settlements.values()]

    @property
    def paid(self) -> list[bool]:
        """Of every 2207 on the wire: did it take effect?"""
        return [entry.committed for entry in self.centre.entries if entry.infno == "2207"]


async def post(centre: Simulator, path: str, tree: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.post(centre.url + path, json=tree)
        return reply.json()


async def rules(centre: Simulator, *actions: Any, infno: str | None = "2207", **more: Any) -> None:
    told = await post(centre, "/_sim/rules", [{"infno": infno, "actions": list(actions), **more}])
    assert told == {"rules": 1}


@pytest.fixture
async def bill(centre: Simulator) -> Bill:
    data = {"psn_no": PERSON, "insutype": "310", "begntime": BEGUN, "ipt_otp_no": "MZ1"}
    told = await post(centre, "/fsi/api", envelope("2201", "M-REG", {"data": data}))
    mdtrt_id = told["output"]["data"]["mdtrt_id"]
    row = {
        "feedetl_sn": "F1", "mdtrt_id": mdtrt_id, "psn_no": PERSON, "chrg_bchno": "B1", "med_list_codg": "XA00000001",
        "medins_list_codg": "Y1", "det_item_fee_sumamt": 186.50, "cnt": 2, "pric": 93.25, "fee_ocur_time": BEGUN,
    }  # fmt: skip
    assert (await post(centre, "/fsi/api", envelope("2204", "M-FEE", {"feedetail": [row]})))["infcode"] == 0
    settle = {
        "psn_no": PERSON, "mdtrt_cert_type": "02", "mdtrt_cert_no": "1", "med_type": "11", "medfee_sumamt": 186.50,
        "psn_setlway": "01", "mdtrt_id": mdtrt_id, "chrg_bchno": "B1", "acct_used_flag": "1", "insutype": "310",
    }  # fmt: skip
    return Bill(centre, settle)


def body_of(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]


async def test_without_a_rule_the_money_is_a_json_number_with_two_places(bill: Bill) -> None:
    raw = await bill.raw()
    assert b'"medfee_sumamt":186.50,' in raw
    assert b'"acct_pay":150.00,' in raw
    assert json.loads(body_of(raw))["output"]["setlinfo"]["medins_setl_id"] == "M-PAY"
    assert (bill.states, bill.paid) == (["settled"], [True])


@pytest.mark.parametrize(
    ("actions", "settled"),
    [
        (["drop"], False),
        (["read_close"], False),
        (["hang(0.01)"], False),
        (["commit", "drop"], True),
        (["commit", "hang(0.01)"], True),
        ([{"action": "commit"}, {"action": "hang", "s": 0.01}], True),
    ],
)
async def test_a_reply_that_never_comes(centre: Simulator, bill: Bill, actions: list[Any], settled: bool) -> None:
    await rules(centre, *actions)
    assert await bill.raw() == b""
    assert (bill.states, bill.paid) == (["settled"] if settled else [], [settled])


@pytest.mark.parametrize(
    ("actions", "settled"), [(["rst"], 0), (["accept_close"], 0), (["commit", "rst"], 1), (["refuse(0)"], 0)]
)
async def test_a_connection_that_is_reset(centre: Simulator, bill: Bill, actions: list[str], settled: int) -> None:
    await rules(centre, *actions)
    with pytest.raises(ConnectionResetError):
        await bill.raw()
    assert len(bill.states) == settled


async def test_a_hang_without_end_lasts_until_the_caller_leaves(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit", "hang")
    reader, writer = await asyncio.open_connection(centre.host, centre.port)
    writer.write(bill.bytes())
    await until(lambda: bill.states == ["settled"])
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def until(happened: Any) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0)


async def test_a_late_commit_lands_after_the_caller_was_cut_off(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit_after(0.05)", "drop")
    assert await bill.raw() == b""
    assert (bill.states, bill.paid) == ([], [False])
    await until(lambda: bill.states == ["settled"])
    assert bill.paid == [True]


async def test_a_late_commit_without_an_end_is_answered_when_it_landed(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit_after(0.01)")
    assert json.loads(body_of(await bill.raw()))["infcode"] == 0
    assert bill.paid == [True]


async def test_a_delayed_settlement_is_overtaken(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "delay(0.1)", nth=1)
    slow = asyncio.create_task(bill.raw("M-SLOW"))
    await until(lambda: any(entry.msgid == "M-SLOW" for entry in centre.entries))
    await bill.raw("M-FAST")
    await slow
    assert [one.msgid for one in centre.world.settlements.values()] == ["M-FAST", "M-SLOW"]


async def test_only_the_nth_request_of_the_person_meets_the_rule(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "error(-1,系统忙)", nth=2, psn_no=PERSON)
    texts = [json.loads(body_of(await bill.raw(f"M-{n}")))["err_msg"] for n in range(3)]
    assert texts == [None, "系统忙", None]
    await rules(centre, "error(-1,系统忙)", psn_no="T00000000001")
    assert json.loads(body_of(await bill.raw("M-4")))["err_msg"] is None


async def test_an_error_after_the_commit_lies(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit", {"action": "error", "infcode": -1, "text": "超时，请重试"})
    told = json.loads(body_of(await bill.raw()))
    assert (told["infcode"], told["err_msg"], told["output"]) == (-1, "超时，请重试", None)
    assert (bill.states, bill.paid) == (["settled"], [True])


async def test_replies_that_are_no_replies(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "html")
    assert b"text/html" in await bill.raw()
    await rules(centre, "garbage")
    with pytest.raises(UnicodeDecodeError):
        body_of(await bill.raw()).decode("utf-8")
    await rules(centre, {"action": "reply", "status": 503, "headers": {"Retry-After": "9"}, "body": "维护中"})
    raw = await bill.raw()
    assert raw.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 9\r\n" in raw
    assert body_of(raw).decode() == "维护中"
    await rules(centre, "reply(500,,{})")
    assert body_of(await bill.raw()) == b"{}"
    await rules(centre, "redirect")
    raw = await bill.raw()
    assert raw.startswith(b"HTTP/1.1 302 ")
    assert f"Location: {centre.url}".encode() in raw
    await rules(centre, "gzipbomb")
    raw = await bill.raw()
    assert b"Content-Encoding: gzip" in raw
    assert len(raw) < 100_000
    assert len(gzip.decompress(body_of(raw))) == 50 * 1024 * 1024
    assert bill.states == []


async def test_a_truncated_reply_promises_more_than_it_brings(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "truncate(40)")
    raw = await bill.raw()
    assert len(body_of(raw)) == 40
    assert int(raw.split(b"Content-Length: ")[1].split(b"\r\n")[0]) > 40
    assert bill.states == ["settled"]


async def test_a_dripping_reply_comes_whole_and_in_pieces(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "drip(20000)")
    reader, writer = await asyncio.open_connection(centre.host, centre.port)
    writer.write(bill.bytes())
    first = await reader.read(65536)
    rest = await reader.read()
    writer.close()
    assert len(first) == 1000
    assert json.loads(body_of(first + rest))["infcode"] == 0


async def test_a_reply_that_comes_twice_and_one_that_is_anothers(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "dup_reply")
    raw = await bill.raw("M-1")
    assert raw[: len(raw) // 2] == raw[len(raw) // 2 :]
    await rules(centre, "commit", "other_reply(M-1)")
    told = json.loads(body_of(await bill.raw("M-2")))
    assert told["output"]["setlinfo"]["medins_setl_id"] == "M-1"
    assert len(bill.states) == 2


async def test_refused_connections_after_a_good_answer(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit", "refuse(60)", infno="2206")
    async with httpx.AsyncClient(trust_env=False) as kept:
        await kept.get(centre.url + "/_sim/truth")
        reply = await post(centre, "/fsi/api", envelope("2206", "M-TRY", {"data": bill.settle}))
        assert reply["infcode"] == 0
        with pytest.raises(ConnectionRefusedError):
            await bill.raw()
        await kept.post(centre.url + "/_sim/rules", json=[])
    assert json.loads(body_of(await bill.raw()))["infcode"] == 0


async def test_a_centre_that_is_down_and_comes_back_by_itself(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "refuse(0.05)", infno=None)
    with pytest.raises(ConnectionRefusedError):
        await bill.raw()
    await until(lambda: centre.listening)
    assert json.loads(body_of(await bill.raw()))["infcode"] == 0


async def test_a_connection_closed_at_accept_while_the_control_side_stays_open(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "accept_close", infno=None)
    with pytest.raises(ConnectionResetError):
        await bill.raw()
    assert all(entry.infno != "2207" for entry in centre.entries)
    assert await post(centre, "/_sim/rules", []) == {"rules": 0}
    assert json.loads(body_of(await bill.raw()))["infcode"] == 0


async def test_a_restart_cuts_everybody_and_may_forget(centre: Simulator, bill: Bill) -> None:
    await rules(centre, "commit", "restart")
    reader, writer = await asyncio.open_connection(centre.host, centre.port)
    writer.write(b"GET")
    await asyncio.sleep(0)
    with pytest.raises(ConnectionResetError):
        await bill.raw()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert bill.states == ["settled"]
    await rules(centre, "restart(all)")
    with pytest.raises(ConnectionResetError):
        await bill.raw()
    assert bill.states == []
    await post(centre, "/_sim/rules", [])
    assert "mdtrt_id" in json.loads(body_of(await bill.raw()))["err_msg"]


async def test_a_hook_is_called_at_its_very_place_among_the_actions(centre: Simulator, bill: Bill) -> None:
    seen = []

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        seen.append((json.loads(body), bill.states))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(watch, "127.0.0.1", 0) as watcher:
        url = f"http://127.0.0.1:{watcher.sockets[0].getsockname()[1]}/"
        await rules(centre, f"hook({url})", "commit", f"hook({url})", "drop")
        assert await bill.raw() == b""
    called = {"infno": "2207", "msgid": "M-PAY"}
    assert seen == [({**called, "committed": False}, []), ({**called, "committed": True}, ["settled"])]


def test_both_spellings_of_an_action_mean_the_same() -> None:
    assert read_action("error(-1,一,二)") == Action("error", {"infcode": "-1", "text": "一,二"})
    assert read_action({"action": "delay", "s": "0.2"}) == read_action("delay(0.2)") == Action("delay", {"s": 0.2})
    assert read_action("hang") == Action("hang", {"s": None})


@pytest.mark.parametrize(
    "rows",
    [
        {}, [{"infno": "2207"}], [{"actions": ["explode"]}], [{"actions": ["delay"]}], [{"actions": ["delay(soon)"]}],
        [{"actions": ["drop(1)"]}], [{"actions": ["drip(0)"]}], [{"actions": [7]}], [{"actions": [], "nth": 0}],
        [{"actions": [], "info": "2207"}], [{"actions": [{"action": "delay", "sec": 1}]}],
    ],
)  # fmt: skip
def test_a_rule_that_says_nothing_clear_is_refused(rows: Any) -> None:
    with pytest.raises(ValueError):
        read_rules(rows)
