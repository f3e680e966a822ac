"""An invented two-phase family: a table, a route and a site before the simulated centre's old interface."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.bootstrap.site import builtin_province
from adapter_core.centre.client import Centre
from adapter_core.config import load_config
from adapter_core.formats.tables import load_table
from adapter_core.ledger.sealing import create_master_key
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.plan import load_route
from adapter_core.province.policy import Policy
from adapter_core.province.province import CONTRACT, Province
from adapter_core.province.table_dialect import TableDialect
from adapter_core.simulator.server import Simulator
from adapter_core.values.frames import Frame
from tests.flow.hospital import Hospital, config_text, same_truth
from tests.invented_family import FRAME

MESSAGES = """
[ref.serial]
theirs = true
binds = "case"
[ref.ticket]
mint = ["settle", "void"]
pattern = "T{n:06}"
binds = "case"
[ref.original_serial]
names = "serial"
binds = "case"
[ref.original_ticket]
names = "ticket"
binds = "case"
[record.person]
rows = [["card", "证件号", "person.mdtrt_cert_no"], ["kind", "证件类型", "person.mdtrt_cert_type"], ["mdtrt", "就诊号", "visit.mdtrt_id"]]
[record.fee]
into = "fees"
at = "fees.row"
rows = [
  ["item", "编码", "fees.med_list_codg"],
  ["amount", "金额", "fees.det_item_fee_sumamt", "yuan"],
  ["count", "数量", "fees.cnt", "plain"],
  ["price", "单价", "fees.pric", "plain"],
]
[record.pay]
rows = ["person", ["serial", "流水号", "ref.serial"], ["total", "总额", "settle.medfee_sumamt", "yuan"]]
[record.second]
rows = [["serial", "原流水号", "ref.original_serial"], ["ticket", "原票号", "ref.original_ticket"]]
[record.back]
rows = ["second", ["own", "流水号", "ref.serial"]]
[record.amounts]
within = ["result.hifp_pay", "result.hifob_pay", "result.hifmi_pay", "result.cvlserv_pay", "result.maf_pay", "result.oth_pay"]
rows = [
  ["mdtrt", "就诊号", "visit.mdtrt_id"],
  ["total", "总额", "result.medfee_sumamt", "yuan"],
  ["fund", "基金", "result.fund_pay_sumamt", "yuan"],
  ["account", "个账", "result.acct_pay", "yuan"],
  ["cash", "现金", "result.psn_cash_pay", "yuan"],
]
[record.paid]
within = ["result.hifp_pay", "result.hifob_pay", "result.hifmi_pay", "result.cvlserv_pay", "result.maf_pay", "result.oth_pay"]
rows = ["amounts", ["setl", "结算号", "result.setl_id"], ["ticket", "票号", "ref.ticket"], ["ours", "原流水号", "result.medins_setl_id"]]
[record.found]
within = ["result.hifp_pay", "result.hifob_pay", "result.hifmi_pay", "result.cvlserv_pay", "result.maf_pay", "result.oth_pay"]
rows = [
  ["setl", "结算号", "result.setl_id"],
  ["ours", "原流水号", "result.medins_setl_id"],
  ["total", "总额", "result.medfee_sumamt", "yuan"],
  ["fund", "基金", "result.fund_pay_sumamt", "yuan"],
  ["account", "个账", "result.acct_pay", "yuan"],
  ["own", "个人", "result.psn_part_amt", "yuan"],
  ["cash", "现金", "result.psn_cash_pay", "yuan"],
  ["refunded", "退费标志", "result.refd_setl_flag"],
]
[message.quote]
verb = "quote"
fees_whole = true
ask = { head = "person", rows = "fee" }
tell = { head = "amounts" }
[message.pay]
verb = "settle"
ask = { head = "pay" }
tell = { head = "paid" }
[message.commit]
verb = "confirm"
ask = { head = "second" }
tell = { any = true }
[message.rollback]
verb = "abort"
ask = { head = "second" }
tell = { any = true }
[message.find]
verb = "query"
ask = { head = "person" }
tell = { head = "found" }
[message.back]
verb = "void"
ask = { head = "back" }
tell = { head = "paid" }
"""
TABLE = f'dialect = "two-phase"{FRAME}{MESSAGES}'
ROUTE = """
route = "two-phase"
[chain]
outpatient = ["trial", "pay"]
[goal]
outpatient = {{ quote = "trial", settle = "pay" }}
[back]
outpatient = {{ void = "pay" }}
[step.trial]
call = "quote"
class = "P"
per = "bill"
needs = ["fees"]
over = ["fees"]
into = "trial"
[step.pay]
call = "pay"
class = "N"
per = "bill"
needs = ["trial"]
into = "settled"
undo = "back"
ask = "find"
second = {{ confirm = "commit", abort = "rollback", {second} }}
[step.commit]
call = "commit"
class = "K"
[step.rollback]
call = "rollback"
class = "X"
[step.find]
call = "find"
class = "R"
[step.back]
call = "back"
class = "N"
per = "bill"
ask = "find"
{refunds}
"""
DIALECT = TableDialect(load_table(TABLE, "two-phase.toml"))


def province(second: str, refunds: str = "", **capabilities: Any) -> Province:
    """A province whose one gateway declares its second phase so; refunds: that of its refunds, where they have one."""
    of_refunds = f'second = {{ confirm = "commit", abort = "rollback", {refunds} }}' if refunds else ""

    def gateway(site: Site) -> LegacyGateway:
        can = Capabilities(**{"query_after_unknown": "by_visit", **capabilities})
        route = load_route(ROUTE.format(second=second, refunds=of_refunds))
        return LegacyGateway("two-phase", site, DIALECT, route, Policy(), can, serial="serial")

    national = builtin_province()
    return Province(
        "invented",
        "虚构",
        "0",
        CONTRACT,
        dialects=national.dialects,
        gateways={"two-phase": gateway, **national.gateways},
    )


class Town(Hospital):
    """A hospital before a two-phase centre."""

    def wrote(self, *numbers: str) -> list[str]:
        """Which of these messages reached the centre, in order."""
        return [one for one in self.calls if one in (numbers or ("pay", "commit", "rollback"))]


@asynccontextmanager
async def life(centre: Simulator, folder: Path) -> AsyncIterator[Town]:
    """One life of the adapter in this folder."""
    if not (folder / "master.key").exists():
        create_master_key(folder / "master.key")
        text = config_text(centre.url).replace("/fsi/api", "/legacy/two-phase")
        text = text.replace('kind = "national"', 'kind = "two-phase"').replace('query_after_unknown = "by_visit"\n', "")
        (folder / "his-adapter.toml").write_text(text, "utf-8")
    async with adapter(load_config(folder / "his-adapter.toml")) as running:
        town = Town(centre, running, folder)
        town.can(late_commit_s=0.2)
        yield town


def watching(folder: Path, missing: list[str]) -> Any:
    """An `exchange` for `Centre` that notes every message that changes something and has no intent in the file yet."""
    exchange = Centre.exchange

    async def watched(self: Centre, endpoint: str, frame: Frame, **more: Any) -> Frame:
        if more["money"]:
            with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as reader:
                known = reader.execute(
                    "SELECT msgid FROM calls WHERE body_hash = ?", (sha256(frame.body).hexdigest(),)
                ).fetchall()
            reader.close()
            if not known:
                missing.append(frame.body.decode())
        return await exchange(self, endpoint, frame, **more)

    return watched


def assert_agree(town: Town) -> None:
    """Nothing booked that the centre rolls back, nothing rolled back that was booked."""
    same_truth(town.centre, town.folder / "ledger.db")
