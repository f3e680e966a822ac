"""What both hand-written adapters do with a message: the caller's form → national JSON → the caller's form."""

from __future__ import annotations

import itertools
import json
import os
from datetime import datetime
from decimal import Decimal
from typing import Any

from lxml import etree

INSTITUTION = "H44000000001"
NUMBERS = itertools.count(os.getpid() % 7 * 1000)
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SERVICE = "http://pojo.webservice.service.ybdy.sinobest.cn"
SAFE = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def new_msgid() -> str:
    return f"{INSTITUTION}{datetime.now():%Y%m%d%H%M%S}{next(NUMBERS) % 10000:04}"  # noqa: DTZ005


def from_json(body: bytes, msgid: str) -> tuple[dict[str, Any], bytes]:
    """The caller's national message, and the same under our own msgid.  Raises: ValueError where its lines don't add up."""
    asked = json.loads(body, parse_float=Decimal)
    given = asked["input"]
    rows = given.get("feedetail") or []
    total = sum((Decimal(str(row["det_item_fee_sumamt"])) for row in rows), Decimal(0))
    claimed = given.get("data", {}).get("medfee_sumamt")
    if rows and claimed is not None and total != Decimal(str(claimed)):
        raise ValueError("the lines do not add up")
    return asked, json.dumps({**asked, "msgid": msgid}, ensure_ascii=False, default=float).encode()


def to_json(reply: bytes, asked: dict[str, Any]) -> bytes:
    """The centre's answer with the caller's own msgid put back."""
    answer = json.loads(reply, parse_float=Decimal)
    info = (answer.get("output") or {}).get("setlinfo")
    if info is not None:
        info["medins_setl_id"] = asked["msgid"]
    return json.dumps(answer, ensure_ascii=False, default=float).encode()


def from_soap(body: bytes, msgid: str) -> tuple[dict[str, str], bytes]:
    """A 0304 settlement of the SOAP family, as the national 2207 it means."""
    envelope = etree.fromstring(body, SAFE)
    inner = next(node.text for node in envelope.iter() if node.text and node.text.lstrip().startswith("<"))
    text = inner.lstrip()
    if text.startswith("<?xml"):
        text = text.partition("?>")[2]
    asked = {node.tag: node.text or "" for node in etree.fromstring(text.encode(), SAFE).iter()}
    data = {
        "psn_no": asked.get("aac001", ""), "mdtrt_cert_type": "02", "mdtrt_cert_no": asked.get("aac044", ""),
        "med_type": "21", "medfee_sumamt": float(asked.get("akc264") or "186.50"), "psn_setlway": "01",
        "mdtrt_id": asked.get("ykc700", ""), "acct_used_flag": "1", "insutype": "310", "invono": "", "mid_setl_flag": "0",
    }  # fmt: skip
    fields = {
        "infno": "2304", "msgid": msgid, "mdtrtarea_admvs": "440800", "insuplc_admdvs": asked.get("yab060", ""),
        "recer_sys_code": "FSI_LOCAL", "infver": "V1.0", "opter_type": "1", "opter": asked.get("aae011", ""),
        "inf_time": f"{datetime.now():%Y-%m-%d %H:%M:%S}", "fixmedins_code": INSTITUTION, "input": {"data": data},  # noqa: DTZ005
    }  # fmt: skip
    return asked, json.dumps(fields, ensure_ascii=False).encode()


def to_soap(reply: bytes, asked: dict[str, str]) -> bytes:
    info = json.loads(reply, parse_float=Decimal)["output"]["setlinfo"]
    result = etree.Element("result")
    for name, value in (("transid", new_msgid()), ("errorcode", "0"), ("errormsg", "")):
        etree.SubElement(result, name).text = value
    output = etree.SubElement(result, "output")
    told = {
        "akc264": info["medfee_sumamt"], "akb068": info["fund_pay_sumamt"], "akb066": info["acct_pay"],
        "yzz139": info["psn_part_amt"], "ykc618": info["setl_id"], "ykc675": asked.get("ykc675", ""),
    }  # fmt: skip
    for name, value in told.items():
        etree.SubElement(output, name).text = str(value)
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soapenv": SOAP})
    answer = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{SERVICE}}}STYDJKServiceResponse")
    etree.SubElement(answer, f"{{{SERVICE}}}return").text = etree.tostring(result, encoding="unicode")
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
