"""Shanxi's gateways: a centre that still speaks DBLIB, through the bridge; and the national JSON, of which nothing is public.

No public source names the province's address, headers or signature: everything of ``shanxi`` is the site's to say.
"""

from __future__ import annotations

from dataclasses import replace

from adapter_core.province.bridge import Around, BridgedGateway, Library
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.legacy import REFS
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from adapter_core.province.plan import load_route
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from his_adapter_shanxi.dialect import dblib, table_text
from his_adapter_shanxi.policy import POLICY

LIBRARY = Library("DBLIB", "0", {"ReadCard": ("EmployeeInfo", "AccountInfo", "DataBuffer"), "": ("DataBuffer",)})
BEGIN, COMMIT, ROLLBACK = ("ReadCard",), ("CommitTrans",), ("RollbackTrans",)
AROUND = {
    "ReadCard": Around(after=COMMIT, on_stop=ROLLBACK),
    "CheckMTQ": Around(before=BEGIN, after=COMMIT, on_stop=ROLLBACK),
    "Registration": Around(before=BEGIN, after=COMMIT, on_stop=ROLLBACK),
    "FormularyEntry": Around(before=BEGIN, after=COMMIT, on_stop=ROLLBACK, each="fees"),
    "FormularyEntry-void": Around(before=BEGIN, after=COMMIT, on_stop=ROLLBACK, each="fees"),
    "PreExpenseCalc": Around(before=BEGIN, after=COMMIT, on_stop=ROLLBACK),
    "ExpenseCalc": Around(before=BEGIN, on_stop=ROLLBACK),
    "ExpenseCalc-void": Around(before=BEGIN, on_stop=ROLLBACK),
}
"""Reading the card begins a local transaction; every business ends in CommitTrans, a failed one in RollbackTrans [E].  A
settlement's commit is the plan's second phase, with an intent of its own."""
FULLY_BLOCKED = frozenset({*range(1, 31), 42})


class DblibGateway(BridgedGateway):
    """DBLIB's own habits: a full block is a refusal, and a settlement's only number is the bill number it was sent with."""

    def read(self, call: Call, told: Frame) -> Reply:
        reply = super().read(call, told)
        if reply.mark is not Mark.OK:
            return reply
        if call.message == "CheckMTQ":
            return _unless_blocked(reply)
        if "result" not in reply.content or call.kind_class != "N":
            return reply
        refs = self._refs(call)
        bill = refs["original"] if call.message == "ExpenseCalc-void" else refs["bill"]
        result = {**reply.content["result"], "setl_id": bill, REFS: {"bill": bill}}
        return replace(reply, content={**reply.content, "result": result})


def _unless_blocked(reply: Reply) -> Reply:
    kind = reply.content.get("x", {}).get("block", "")
    if not (kind.isascii() and kind.isdigit()):
        return Reply(Mark.UNREADABLE, text="封锁类型不是数字")
    if int(kind) in FULLY_BLOCKED:
        return Reply(Mark.REFUSED, f"MTQ{int(kind)}", reply.content["x"].get("block.2", "") or "待遇封锁")
    warning = () if int(kind) == 0 else (f"部分封锁，类型 {int(kind)}",)
    return replace(reply, warnings=warning)


def shanxi_dblib(site: Site) -> BridgedGateway:
    """A DBLIB centre for one institution, behind a bridge.

    No secrets: the library has the database's.  Options: ``codes.*`` as the dialect.  Raises: ConfigError.
    """
    unknown = [name for name in site.options if not name.startswith("codes.")]
    if unknown:
        raise ConfigError(f"gateway shanxi-dblib: no such option: {', '.join(unknown)}")
    gateway = DblibGateway(
        "shanxi-dblib",
        site,
        dblib(site.options),
        load_route(table_text("dblib_route")),
        POLICY,
        Capabilities(query_after_unknown="none"),
        serial="bill",
    )
    return gateway.bridged(LIBRARY, AROUND)


def shanxi(site: Site) -> NationalGateway:
    """The national JSON for one institution.  Options and secrets: `adapter_core.province.national_variants`."""
    return national_variant("shanxi", site, {}, policy=POLICY)
