"""A test settlement that touches nothing of the site: a simulated centre, a ledger in a folder that is thrown away."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from adapter_core.bootstrap.assembly import adapter
from adapter_core.config import load_config
from adapter_core.operations.site import NewSite, make_site
from adapter_core.province.national_dialect import NationalDialect

VISIT: dict[str, Any] = {
    "intent": "settle", "kind": "outpatient", "settle_key": "rehearsal-1", "visit_key": "rehearsal-visit-1",
    "operator": {"opter": "001", "opter_name": "演练", "opter_type": "1", "mac": "00-00-00-00-00-00", "ip": "127.0.0.1"},
    "person": {"mdtrt_cert_type": "02", "mdtrt_cert_no": "110101190001010000", "psn_name": "测试甲"},
    "visit": {"atddr_no": "D36010000001", "dr_name": "测试医师", "dept_code": "D01", "dept_name": "内科", "caty": "A03"},
    "diagnoses": [{"diag_type": "1", "maindiag_flag": "1", "diag_srt_no": "1", "diag_code": "J06.900",
                   "diag_name": "急性上呼吸道感染", "diag_dept": "内科", "dise_dor_no": "D36010000001",
                   "dise_dor_name": "测试医师"}],
    "fees": [{"feedetl_sn": "1", "med_list_codg": "XA00000001", "medins_list_codg": "Y001", "det_item_fee_sumamt": "200.00",
              "cnt": "1", "pric": "200.00", "bilg_dept_codg": "D01", "bilg_dept_name": "内科",
              "bilg_dr_codg": "D36010000001", "bilg_dr_name": "测试医师"}],
    "settle": {"med_type": "11", "psn_setlway": "01", "acct_used_flag": "1"},
}  # fmt: skip
"""One visit of 测试甲, who lives in the simulated centre only."""


class Rehearsed(NamedTuple):
    """What the rehearsal came to: what the HIS would be told, and the calls the centre saw."""

    state: str
    message_zh: str
    calls: tuple[str, ...]


async def rehearse(place_of_care: str, at: str) -> Rehearsed:
    """place_of_care: the site's region; at: now, ``yyyy-MM-dd HH:mm:ss`` China time.  Raises: AdapterError."""
    from adapter_core.simulator.server import Simulator  # a service starts without it

    with tempfile.TemporaryDirectory(prefix="his-adapter-rehearsal-") as folder:
        async with Simulator() as centre:
            new = NewSite("H00000000001", "演练医院", place_of_care, f"{centre.url}/fsi/api", plain_http="本机演练")
            await asyncio.to_thread(make_site, Path(folder) / "site", new)
            async with adapter(load_config(Path(folder) / "site" / "his-adapter.toml")) as running:
                dialect = NationalDialect()
                outcome = await running.pipeline.handle(running.place, dialect, dialect.read_tree(_visit(at)))
                await running.pipeline.settled_down()
            return Rehearsed(outcome.state, outcome.message_zh, tuple(entry.infno for entry in centre.entries))


def _visit(at: str) -> dict[str, Any]:
    return {
        **VISIT,
        "visit": {**VISIT["visit"], "begntime": at},
        "diagnoses": [{**one, "diag_time": at} for one in VISIT["diagnoses"]],
        "fees": [{**one, "fee_ocur_time": at} for one in VISIT["fees"]],
    }
