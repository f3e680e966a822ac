"""A centre as fast as Python can be: it answers the bench's national messages truthfully enough for our echo and sum checks.

``python bench/centre.py [--delay-ms N]`` prints its address.  It keeps no state and checks nothing, so that what is measured is
the adapter in front of it; the simulated centre of the product is what tests run against.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import httptools
import msgspec

decode = msgspec.json.Decoder(float_hook=Decimal).decode
encode = msgspec.json.Encoder(decimal_format="number").encode
NUMBERS = itertools.count(1)
CHINA = timezone(timedelta(hours=8))
PERSON = {
    "psn_no": "36000000000000000001", "psn_cert_type": "01", "certno": "110101190001010000", "psn_name": "测试甲", "gend": "1",
    "naty": "01", "brdy": "1900-01-01", "age": Decimal("126.0"),
}  # fmt: skip
INSURANCE = {
    "balc": Decimal("500.00"), "insutype": "310", "psn_type": "11", "psn_insu_stas": "1", "psn_insu_date": "2020-01-01",
    "cvlserv_flag": "0", "insuplc_admdvs": "330100", "emp_name": "测试单位",
}  # fmt: skip


def settled(data: dict[str, Any], msgid: str) -> dict[str, Any]:
    """``setlinfo`` of a trial or a settlement: 60 % fund, the rest cash."""
    total = Decimal(str(data.get("medfee_sumamt") or "0")).quantize(Decimal("0.01"))
    fund = (total * Decimal("0.6")).quantize(Decimal("0.01"))
    number = next(NUMBERS)
    return {
        **PERSON,
        "mdtrt_id": data.get("mdtrt_id") or f"M{number:014}",
        "setl_id": f"S{number:014}",
        "psn_no": data.get("psn_no") or PERSON["psn_no"],
        "insutype": "310", "psn_type": "11", "cvlserv_flag": "0", "med_type": data.get("med_type", "11"),
        "setl_time": f"{datetime.now(CHINA):%Y-%m-%d %H:%M:%S}",
        "mdtrt_cert_type": "02", "medfee_sumamt": total, "fulamt_ownpay_amt": Decimal("0.00"),
        "overlmt_selfpay": Decimal("0.00"), "preselfpay_amt": Decimal("0.00"), "inscp_scp_amt": total,
        "act_pay_dedc": Decimal("0.00"), "hifp_pay": fund, "pool_prop_selfpay": Decimal("0.6000"),
        "cvlserv_pay": Decimal("0.00"), "hifes_pay": Decimal("0.00"), "hifmi_pay": Decimal("0.00"),
        "hifob_pay": Decimal("0.00"), "maf_pay": Decimal("0.00"), "oth_pay": Decimal("0.00"), "fund_pay_sumamt": fund,
        "psn_part_amt": total - fund, "acct_pay": Decimal("0.00"), "psn_cash_pay": total - fund,
        "hosp_part_amt": Decimal("0.00"), "balc": Decimal("500.00"), "acct_mulaid_pay": Decimal("0.00"),
        "medins_setl_id": msgid, "clr_optins": "330100", "clr_way": "1", "clr_type": "11",
    }  # fmt: skip


def lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "feedetl_sn": row["feedetl_sn"], "det_item_fee_sumamt": row["det_item_fee_sumamt"], "cnt": row["cnt"],
            "pric": row["pric"], "pric_uplmt_amt": row["pric"], "selfpay_prop": Decimal("0.0000"),
            "fulamt_ownpay_amt": Decimal("0.00"), "overlmt_amt": Decimal("0.00"), "preselfpay_amt": Decimal("0.00"),
            "inscp_scp_amt": row["det_item_fee_sumamt"], "chrgitm_lv": "01", "med_chrgitm_type": "09", "bas_medn_flag": "1",
            "hi_nego_drug_flag": "0", "chld_medc_flag": "0", "list_sp_item_flag": "0", "lmt_used_flag": "0",
            "drt_reim_flag": "0",
        }
        for row in rows
    ]  # fmt: skip


def rows_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    found = given.get("feedetail") or given.get("drugdetail") or []
    return found if isinstance(found, list) else [found]


def answer_1101(given: dict[str, Any], msgid: str) -> dict[str, Any]:
    return {"baseinfo": PERSON, "insuinfo": [INSURANCE], "idetinfo": []}


def answer_2201(given: dict[str, Any], msgid: str) -> dict[str, Any]:
    data = given["data"]
    facts = {"mdtrt_id": f"M{next(NUMBERS):014}", "psn_no": data["psn_no"], "ipt_otp_no": data["ipt_otp_no"]}
    return {"data": {**facts, "exp_content": ""}}


def answer_lines(given: dict[str, Any], msgid: str) -> dict[str, Any]:
    return {"result": lines(rows_of(given))}


def answer_money(given: dict[str, Any], msgid: str) -> dict[str, Any]:
    data = given.get("data") or given.get("druginfo") or {}
    return {"setlinfo": settled(data, msgid), "setldetail": [], "detlcutinfo": []}


ANSWERS: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "1101": answer_1101,
    "2201": answer_2201,
    "2204": answer_lines,
    "2301": answer_lines,
    **dict.fromkeys(("2101", "2102", "2206", "2206A", "2207", "2207A", "2303", "2303A", "2304", "2304A"), answer_money),
}


def reply(body: bytes) -> bytes:
    asked = decode(body)
    answer = ANSWERS.get(asked["infno"], lambda given, msgid: {})
    now = f"{datetime.now(CHINA):%Y%m%d%H%M%S}000"
    return encode(
        {
            "infcode": "0", "inf_refmsgid": f"{now}{next(NUMBERS):013}", "refmsg_time": now, "respond_time": now, "err_msg": "",
            "output": answer(asked["input"], asked["msgid"]),
        }
    )  # fmt: skip


class Exchange(asyncio.Protocol):
    """One connection, kept or fresh."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        body, self._parts = b"".join(self._parts), []
        keep = self._parser.should_keep_alive()
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._tell, body, keep)
        else:
            self._tell(body, keep)

    def _tell(self, body: bytes, keep: bool) -> None:
        if self._transport.is_closing():
            return
        told = reply(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n"
        self._transport.write(head.encode() + (b"\r\n" if keep else b"Connection: close\r\n\r\n") + told)  # type: ignore[attr-defined]
        if not keep:
            self._transport.close()


async def serve(delay_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Exchange(delay_s), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}/fsi/api"}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--delay-ms", type=float, default=0.0)
    try:
        import uvloop

        run = uvloop.run
    except ImportError:
        run = asyncio.run
    run(serve(arguments.parse_args().delay_ms / 1000))
