"""STYDJY, the SOAP interface of Guangdong's 异地就医: one dialect, towards a HIS and towards a centre.

The table says nearly everything.  Code is the SOAP of the centre's side, which zeep renders and checks by the WSDL.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files

from adapter_core.formats.soap import SoapClient, read_envelope
from adapter_core.formats.tables import FieldTable, load_table
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Mark, Operation, Reply
from adapter_core.province.province import Options
from adapter_core.province.table_dialect import Hooks, TableDialect
from adapter_core.standard.source import schema_file
from adapter_core.values.content import Content
from adapter_core.values.errors import TranslationError
from adapter_core.values.frames import Frame

OPERATION = "STYDJKService"
CENTRE_OPTIONS = ("akb026", "akb021", "yab600", "ykc675")
ZERO = Decimal("0.00")
RESULT_RECORDS = {"0303": "trial", "0304": "settled", "0305": "settled"}


@cache
def table_text(name: str) -> str:
    """The TOML of ``stydj`` or ``stydj_route``."""
    return (files("his_adapter_guangdong") / "tables" / f"{name}.toml").read_text("utf-8")


def stydj(options: Options) -> TableDialect:
    """The dialect that serves a HIS.

    Options: ``codes.cert.<local>``, ``codes.gend.<local>``, ``opter`` and ``opter_name`` (who acts where the message names
    nobody).  Raises: ConfigError for any other.
    """
    table = _table(options)
    return TableDialect(table, stydj_hooks(table))


def _table(options: Options) -> FieldTable:
    return load_table(table_text("stydj"), "stydj.toml", options)


def stydj_hooks(table: FieldTable) -> Hooks:
    """What the table can't say: an operator where none is named, and amounts that old clients expect to be said."""
    nobody = {name: table.spec.options[name] for name in ("opter", "opter_name")}

    def after_decode(message: str, side: str, sections: Content) -> Content:
        if side == "ask" and nobody["opter"] and "opter" not in sections.get("env", {}):
            sections["env"] = {**sections.get("env", {}), **nobody}
        return sections

    def before_encode(message: str, side: str, sections: Content) -> Content:
        if side == "ask" and sections.get("env", {}).get("opter") == nobody["opter"]:
            sections["env"].pop("opter", None)
        return _all_amounts_said(message, sections) if side == "tell" else sections

    return Hooks(after_decode, before_encode)


def _all_amounts_said(message: str, sections: Content) -> Content:
    """Old clients read every amount's element: a national reply's missing account or cash is 0, as the equation that the
    core has checked takes it; the two minor parts of 公务员补助 are written even though the first holds it all."""
    result = sections.get("result", {})
    if "medfee_sumamt" not in result:
        return sections
    for name in ("acct_pay", "psn_cash_pay", "fund_pay_sumamt"):
        result.setdefault(name, ZERO)
    if "cvlserv_pay" in result:
        kept = sections.setdefault("x", {})
        for part in ("ykc635", "ykc636"):
            kept.setdefault(f"{RESULT_RECORDS[message]}.{part}", str(ZERO))
    return sections


class StydjCentre(TableDialect):
    """The dialect as it calls a centre for one institution.

    What every request says of the institution and no national content holds comes from the site's options: ``akb026``
    (机构执业证号), ``akb021``, ``yab600`` (default: the institution's own code, name and region) and ``ykc675`` (结算类型,
    default ``1``, the one value seen).
    """

    def __init__(self, site: Site) -> None:
        table_options = {key: value for key, value in site.options.items() if key.startswith("codes.")}
        table = _table(table_options)
        super().__init__(table, stydj_hooks(table))
        self._client = SoapClient(schema_file("his", "sinobest", "stydj.wsdl").read_bytes(), "1.1")
        options = site.options
        self._said = {
            "akb026": options.get("akb026", site.fixmedins_code),
            "akb021": options.get("akb021", site.fixmedins_name),
            "yab600": options.get("yab600", site.admdvs),
            "ykc675": options.get("ykc675", "1"),
        }

    def encode_request(self, operation: Operation) -> Frame:
        """Raises: as TableDialect."""
        frame = super().encode_request(self._completed(operation))
        headers, body = self._client.render(OPERATION, **read_envelope(frame.body).parameters)
        return Frame(body=body, headers=headers)

    def decode_reply(self, asked: Operation, frame: Frame) -> Reply:
        """As TableDialect; what isn't a reply by the WSDL is unreadable."""
        try:
            self._client.parse(OPERATION, frame.body)
        except TranslationError as error:
            return Reply(Mark.UNREADABLE, error.code, str(error)[:1000])
        return super().decode_reply(asked, frame)

    def _completed(self, operation: Operation) -> Operation:
        insured_at = operation.content.get("person", {}).get("insuplc_admdvs")
        branch = {"yab060": insured_at} if insured_at else {}
        return replace(operation, echo={**self._said, **branch, **operation.echo})
