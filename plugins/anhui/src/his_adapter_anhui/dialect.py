"""Anhui's two legacy dialects: Hefei's handle interface and Fuyang's SOAP RPC.  The tables say nearly everything."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files

from adapter_core.formats.soap import SoapClient, read_envelope
from adapter_core.formats.tables import FieldTable, load_table
from adapter_core.formats.tables.calls import typed
from adapter_core.province.call_dialect import CallDialect
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Mark, Operation, Reply
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks
from adapter_core.standard.source import schema_file
from adapter_core.values.content import Content
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame

ZERO = Decimal("0.00")


@cache
def table_text(name: str) -> str:
    """The TOML of ``hefei``, ``fuyang`` or one of their routes."""
    return (files("his_adapter_anhui") / "tables" / f"{name}.toml").read_text("utf-8")


def hefei(options: Options) -> CallDialect:
    """Hefei's handle interface for one site.  Options: ``med_type``, ``codes.*``.  Raises: ConfigError."""
    return CallDialect(load_table(table_text("hefei"), "hefei.toml", options), Hooks(_as_read, _hefei_written))


def fuyang(options: Options) -> CallDialect:
    """Fuyang's SOAP service towards a HIS.  Options: ``codes.*``.  Raises: ConfigError."""
    return CallDialect(_fuyang_table(options), FUYANG_HOOKS)


class FuyangCentre(CallDialect):
    """Fuyang's SOAP service towards a centre, rendered and checked through zeep and our WSDL.

    Site options: ``hospital_code`` (default: the institution's code), ``redeem_no`` (sRedeemNo, default ``11``, the one value
    seen), ``codes.*``.
    """

    def __init__(self, site: Site) -> None:
        codes = {name: value for name, value in site.options.items() if name.startswith("codes.")}
        super().__init__(_fuyang_table(codes), FUYANG_HOOKS)
        self._client = SoapClient(schema_file("his", "jingqi", "ijqcenter.wsdl").read_bytes(), "1.1")
        self._said = {
            "hospital": site.options.get("hospital_code", site.fixmedins_code),
            "redeem": site.options.get("redeem_no", "11"),
        }

    def encode_request(self, operation: Operation) -> Frame:
        """Raises: as TableDialect."""
        frame = super().encode_request(replace(operation, echo={**self._said, **operation.echo}))
        asked = read_envelope(frame.body)
        headers, body = self._client.render(asked.operation, **asked.parameters)
        return Frame(body=typed(body), headers=headers)

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """As TableDialect; what isn't a reply by the WSDL is unreadable."""
        try:
            self._client.parse(self.table.spec.messages[asked.message].code, frame.body)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, str(error)[:1000])
        return super().decode_reply(asked, frame)


def _fuyang_table(options: Options) -> FieldTable:
    return load_table(table_text("fuyang"), "fuyang.toml", options)


def _as_read(message: str, side: str, sections: Content) -> Content:
    return sections


def _hefei_written(message: str, side: str, sections: Content) -> Content:
    """A line has one code: the national one.  The balance before is the balance and what the account paid."""
    if side == "ask" and "fees" in sections:
        sections["fees"] = [
            {**row, "medins_list_codg": row["med_list_codg"]} if "med_list_codg" in row else row
            for row in sections["fees"]
        ]
    result = sections.get("result", {})
    if side == "tell" and "medfee_sumamt" in result:
        for name in ("fund_pay_sumamt", "acct_pay", "psn_cash_pay"):
            result.setdefault(name, ZERO)
        result.setdefault("hifp_pay", ZERO)
        kept = sections.setdefault("x", {})
        if "balc" in result:
            kept.setdefault("pay.akc252", str(Decimal(result["balc"]) + result["acct_pay"]))
        if message == "F04.05.12.01":
            kept.setdefault("pay.skc033", "-")
    return sections


def _fuyang_written(message: str, side: str, sections: Content) -> Content:
    """One person found is a list of one; old clients read every amount of the equation."""
    if message == "GetPersonInfo" and side == "tell" and "people" not in sections and sections.get("person"):
        sections["people"] = [sections["person"]]
    result = sections.get("result", {})
    if side == "tell" and "medfee_sumamt" in result:
        for name in ("acct_pay", "psn_cash_pay", "hifp_pay"):
            result.setdefault(name, ZERO)
    return sections


FUYANG_HOOKS = Hooks(_as_read, _fuyang_written)
