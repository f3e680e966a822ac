"""What both hand-written adapters do with a message: caller's form → national JSON → caller's form."""

from __future__ import annotations

import itertools
import json
import os
import threading
from datetime import datetime
from decimal import Decimal
from typing import Any

from lxml import etree

INSTITUTION = "H36000000001"
NUMBERS = itertools.count(1)
LOCK = threading.Lock()
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PARSER = dict(resolve_entities=False, no_network=True, load_dtd=False)


def new_msgid() -> str:
    with LOCK:
        number = next(NUMBERS)
    return f"{INSTITUTION}{datetime.now():%Y%m%d%H%M%S}{os.getpid() % 10}{number % 1000:03}"  # noqa: DTZ005


def national(asked: dict[str, Any], msgid: str) -> bytes:
    """The caller's national message under our own msgid; its lines must add up."""
    given = asked["input"]
    rows = given.get("drugdetail") or given.get("feedetail") or []
    data = given.get("druginfo") or given.get("data") or {}
    total = sum((Decimal(str(row["det_item_fee_sumamt"])) for row in rows), Decimal(0))
    if data.get("medfee_sumamt") and rows and total != Decimal(str(data["medfee_sumamt"])):
        raise ValueError("the lines do not add up")
    return json.dumps({**asked, "msgid": msgid}, ensure_ascii=False, default=str).encode()


def read_json(body: bytes) -> dict[str, Any]:
    return json.loads(body, parse_float=Decimal)


def told_json(reply: bytes, asked: dict[str, Any]) -> bytes:
    """The centre's answer with the caller's own msgid put back."""
    answer = json.loads(reply, parse_float=Decimal)
    info = answer.get("output", {}).get("setlinfo")
    if info is not None:
        info["medins_setl_id"] = asked["msgid"]
    return json.dumps(answer, ensure_ascii=False, default=float).encode()
