"""The accounts' own calls to the centre: 3201, 9101, 3202, 9102, 3203, 3204, 3260, 3261, journalled like every call."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapter_core.accounts.statement_form import StatementForm
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.province.national import NationalGateway
from adapter_core.province.relay import NAME, RelayDialect, RelayGateway
from adapter_core.settlement.place import Place
from adapter_core.values.content import Content
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, NotSupported
from adapter_core.values.money import from_fen

DIALECT = RelayDialect()
FILE_BYTES_MAX = 20 * 1024 * 1024
"""Of an uploaded file: base64 makes a third more of it, and a message has 32 MB at most."""


class NoAnswer(AdapterError):
    """The centre gave no usable answer: nothing is concluded from that, the run is made again.  ``outcome``: what came."""

    code = "CENTRE_SILENT"

    def __init__(self, infno: str, outcome: Outcome) -> None:
        super().__init__(f"{infno}: {outcome.state} {outcome.code}", message_zh=f"{infno} 未完成：{outcome.message_zh}")
        self.outcome = outcome


class Passing(Protocol):
    """Who passes an operation on: the pipeline."""

    async def handle(
        self, place: Place, dialect: Dialect, operation: Operation, wait_s: float | None = None
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of one group, as 3201 asks them.  Amounts in fen; refunded: ``refd_setl_flag`` of the group, None for net."""

    insutype: str
    clr_type: str
    optins: str
    refunded: bool | None
    count: int
    total_fen: int
    fund_fen: int
    account_fen: int


class CentreDesk:
    """defaults: the envelope's operator, from the place."""

    def __init__(self, pipeline: Passing, place: Place, form: StatementForm) -> None:
        if not isinstance(place.gateway, NationalGateway):
            text = "本机构的医保线路不是国家接口，不能自动对账"
            raise NotSupported("the gateway speaks no national JSON", message_zh=text)
        self._pipeline = pipeline
        self._place = place
        self._gateway = place.gateway
        self._form = form
        environment = {
            path.removeprefix("env."): value for path, value in place.defaults.items() if path.startswith("env.")
        }
        self._environment: Content = dict(environment)

    async def call(self, infno: str, given: Mapping[str, Any]) -> Any:
        """The reply's output.  Raises: NoAnswer for anything but an OK."""
        outcome = await self.outcome(infno, given)
        if outcome.state != "DONE":
            raise NoAnswer(infno, outcome)
        return outcome.content.get("reply", {}).get("output") or {}

    async def outcome(self, infno: str, given: Mapping[str, Any]) -> Outcome:
        """DONE REJECTED NOT_SENT or UNKNOWN."""
        place = replace(self._place.alone(), gateway=RelayGateway(self._gateway, infno))
        content = {"relay": {"envelope": {}, infno: dict(given)}, "env": self._environment}
        return await self._pipeline.handle(place, DIALECT, Operation("relay", infno, NAME, content=content))

    async def totals_agree(self, day: str, sums: Totals) -> tuple[bool, str]:
        """3201: whether the centre's sums are ours, and its words.  Raises: NoAnswer."""
        sign = -1 if sums.refunded and self._form.refunds_negative else 1
        data = {
            "insutype": sums.insutype,
            "clr_type": sums.clr_type,
            "setl_optins": sums.optins,
            "stmt_begndate": day,
            "stmt_enddate": day,
            "medfee_sumamt": from_fen(sign * sums.total_fen),
            "fund_pay_sumamt": from_fen(sign * sums.fund_fen),
            "acct_pay": from_fen(sign * sums.account_fen),
            "fixmedins_setl_cnt": sums.count,
        }
        if sums.refunded is not None:
            data["refd_setl_flag"] = self._form.refund_flag if sums.refunded else self._form.settle_flag
        told = (await self.call("3201", {"data": data})).get("stmtinfo") or {}
        verdict = str(told.get("stmt_rslt", ""))
        return verdict in self._form.balanced, str(told.get("stmt_rslt_dscr") or "")[:200]

    async def lines(self, psn_no: str, mdtrt_id: str, setl_id: str) -> list[Mapping[str, Any]]:
        """5204: the lines of one settlement.  Raises: NoAnswer."""
        told = (await self.call("5204", {"data": {"psn_no": psn_no, "mdtrt_id": mdtrt_id, "setl_id": setl_id}})).get(
            "data"
        )
        rows = told if isinstance(told, list) else []
        return [row for row in rows if isinstance(row, dict) and row.get("setl_id") in (None, "", setl_id)]

    async def statement(self, day: str, optins: str, uploaded: bytes, sums: Mapping[str, int]) -> bytes:
        """9101, 3202, 9102: the result file of a day.  sums: total, fund, cash in fen, and count.  Raises: NoAnswer."""
        if len(uploaded) > FILE_BYTES_MAX:
            raise NotSupported(
                "the day's file is too large for one upload", message_zh="当日明细文件过大，无法一次上传"
            )
        org = self._place.org
        name = f"{org}-{day}.txt"
        content: str | Sequence[int] = base64.b64encode(uploaded).decode()
        if self._form.uploads_as == "numbers":
            content = list(uploaded)
        stored = await self.call("9101", {"fsUploadIn": {"in": content, "filename": name, "fixmedins_code": org}})
        data = {
            "setl_optins": optins,
            "file_qury_no": str((stored.get("data") or {}).get("file_qury_no", "")),
            "stmt_begndate": day,
            "stmt_enddate": day,
            "medfee_sumamt": from_fen(sums["total"]),
            "fund_pay_sumamt": from_fen(sums["fund"]),
            "cash_payamt": from_fen(sums["cash"]),
            "fixmedins_setl_cnt": sums["count"],
        }
        info = (await self.call("3202", {"data": data})).get("fileinfo") or {}
        asked = {"file_qury_no": str(info.get("file_qury_no", "")), "filename": str(info.get("filename", ""))}
        outcome = await self.outcome("9102", {"fsDownloadIn": {**asked, "fixmedins_code": org}})
        file = outcome.content.get("file")
        if outcome.state != "DONE" or not isinstance(file, bytes):
            raise NoAnswer("9102", outcome)
        return file


Desks = Callable[[Place], CentreDesk]
"""Before the centre of a place's gateway.  Raises: NotSupported."""
