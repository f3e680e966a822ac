"""Anhui's gateways: the two legacy centres, and the national JSON, of which nothing is public.

No public source names the province's current address, headers or signature: everything of ``anhui`` is the site's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapter_core.province.bridge import BridgedGateway, Library
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.messages import Call, Mark, Reply
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from adapter_core.province.plan import load_route
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from his_adapter_anhui.dialect import FuyangCentre, hefei, table_text
from his_adapter_anhui.policy import POLICY

PAID = ("aae072", "akc190", "aac001", "akc020", "aac003", "akc252", "akc260", "akc261", "akc262", "akc264",
        "skc033", "skc093", "aae040", "akc087")  # fmt: skip
PERSON = ("aac001", "akc020", "aac002", "aac003", "aac004", "vvv002", "akc023", "akc021", "vvv001", "aab001", "aab004",
          "aab301", "aaa146", "akc087", "akc141", "skc111", "skc112")  # fmt: skip
SIEAF = Library(
    "sieaf",
    "true",
    {
        "F04.02.01.01": PERSON,
        "F04.05.02.01": ("akc190",),
        "F04.05.10.02": PAID,
        "F04.05.10.01": PAID,
        "F04.05.12.01": PAID,
    },
    handle=True,
)
"""The values that each function's answer holds.  User and password are put in by the bridge, which alone has them."""
SOAP_PATH = "/soap/IJQCenterWebService"


class HefeiGateway(BridgedGateway):
    """A settlement's id is its 单据号."""

    def read(self, call: Call, told: Frame) -> Reply:
        reply = super().read(call, told)
        receipt = reply.refs.get("receipt", "")
        if reply.mark is not Mark.OK or call.kind_class == "P" or "result" not in reply.content or not receipt:
            return reply
        return _with_setl_id(reply, receipt)


class FuyangGateway(LegacyGateway):
    """One certificate may stand for a family: the person is the one whom the call names, and nobody guesses."""

    def decode(self, call: Call, frame: Frame) -> Reply:
        reply = super().decode(call, frame)
        if reply.mark is not Mark.OK:
            return reply
        if call.message == "GetPersonInfo":
            return _the_person(reply, call.content.get("person", {}))
        if call.kind_class == "N":
            # a stay is settled once, and its id is all that names the settlement
            return _with_setl_id(reply, str(call.content["visit"]["mdtrt_id"]))
        return reply


def _with_setl_id(reply: Reply, setl_id: str) -> Reply:
    return replace(reply, content={**reply.content, "result": {**reply.content["result"], "setl_id": setl_id}})


def _the_person(reply: Reply, asked: Mapping[str, Any]) -> Reply:
    people = reply.content.get("people", [])
    named = [
        one
        for one in people
        if all(one.get(name) in (None, asked[name]) for name in ("certno", "psn_name") if asked.get(name))
    ]
    if len(named) != 1:
        return Reply(
            Mark.REFUSED, "PEOPLE", f"该证件下有 {len(people)} 人，按姓名和身份证号对上 {len(named)} 人，请核对"
        )
    return replace(reply, content={**reply.content, "person": named[0]})


def anhui_hefei(site: Site) -> BridgedGateway:
    """A sieaf centre for one institution, behind a bridge.  Options: as the dialect's.  Raises: ConfigError."""
    gateway = HefeiGateway(
        "anhui-hefei",
        site,
        hefei(site.options),
        load_route(table_text("hefei_route")),
        POLICY,
        # the query is the bridge's, which knows each call by its id
        Capabilities(query_after_unknown="by_visit"),
        echoes=[("person.psn_no", "person.psn_no"), ("visit.ipt_otp_no", "visit.ipt_otp_no")],
    )
    return gateway.bridged(SIEAF)


def anhui_fuyang(site: Site) -> FuyangGateway:
    """A Fuyang centre for one institution.

    Options: those of `FuyangCentre`, and ``path`` (default ``/soap/IJQCenterWebService``; a centre has its application's name
    before it).  Raises: ConfigError.
    """
    known = ("hospital_code", "redeem_no", "path")
    unknown = [name for name in site.options if name not in known and not name.startswith("codes.")]
    if unknown:
        raise ConfigError(f"gateway anhui-fuyang: no such option: {', '.join(unknown)}")
    return FuyangGateway(
        "anhui-fuyang",
        site,
        FuyangCentre(site),
        load_route(table_text("fuyang_route")),
        POLICY,
        Capabilities(query_after_unknown="none"),
        site.options.get("path", SOAP_PATH),
    )


def anhui(site: Site) -> NationalGateway:
    """The national JSON for one institution.  Options and secrets: `adapter_core.province.national_variants`."""
    return national_variant("anhui", site, {}, policy=POLICY)
