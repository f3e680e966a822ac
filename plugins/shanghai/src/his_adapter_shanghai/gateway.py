"""Shanghai's gateways: the national front end (N-KEY), the V5 library behind a bridge, and which of them serves whom.

Evidence: public client code, see README.  Both stand side by side in one hospital: local insured persons go over V5, all others
over the national route.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from adapter_core.province.bridge import CLOSE, Around, BridgedGateway, Library
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call
from adapter_core.province.national import NationalGateway, Profile, Signing
from adapter_core.province.plan import load_route
from adapter_core.values.errors import ConfigError
from adapter_core.values.frames import Frame
from adapter_core.values.moments import china, national_time
from his_adapter_shanghai.dialect import PayStatus, V5Centre, table_text, v5_table
from his_adapter_shanghai.policy import POLICY

HOME = "31"
"""The admdvs prefix of persons whom V5 serves."""
ENVIRONMENTS = ("prod", "test")
RECEIVERS = {"340": "LXXT"}
"""``recer_sys_code`` by insutype: retired cadres; all others ``YBXT``.  Work injury has ``GSXT``: its insutype isn't public, so
a site that has it says ``recer_sys_code.<insutype> = "GSXT"``."""
BY_INSUTYPE = frozenset({"2201", "2206", "2207", "2303", "2304", "2401", "2402", "2501", "2503", "2001"})


def gateway_for(insuplc_admdvs: str) -> str:
    """The gateway that serves a person insured there; "" (not said) is a local person."""
    return "shanghai-v5" if insuplc_admdvs[: len(HOME)] in ("", HOME) else "shanghai"


def shanghai(site: Site) -> NationalGateway:
    """The national route for one institution: one URL, a constant ``apikey`` header.

    Secrets: ``apikey``.  Options: ``env`` (``prod`` | ``test``), ``recer_sys_code`` (of calls that name no insutype, default
    ``MBS_LOCAL``), ``recer_sys_code.<insutype>``, ``signtype``, ``infver``.  No password goes out: this route serves persons
    insured elsewhere, whom nobody asks for one.  Raises: ConfigError.
    """
    options = site.options
    environment = options.get("env", "prod")
    if environment not in ENVIRONMENTS:
        raise ConfigError(f"gateway shanghai: env is one of {', '.join(ENVIRONMENTS)}, not {environment!r}")

    def receiver(call: Call) -> str:
        usual = options.get("recer_sys_code", "MBS_LOCAL")
        insutype = str(call.content.get("settle", {}).get("insutype", ""))
        if call.message not in BY_INSUTYPE or not insutype:
            return usual
        return options.get(f"recer_sys_code.{insutype}") or RECEIVERS.get(insutype, "YBXT")

    profile = Profile(
        path=lambda here, infno: f"/gjptqzyy-{environment}/api/v1/route/",
        headers=_headers,
        recer_sys_code=receiver,
        infver=options.get("infver", "V1.0"),
        envelope={"signtype": options.get("signtype", "PRCSSC")},
        secrets=("apikey",),
    )
    return NationalGateway("shanghai", site, profile, POLICY)


def _headers(signing: Signing) -> Iterable[tuple[str, str]]:
    return (("apikey", signing.site.secrets["apikey"].reveal()),)


class V5Gateway(BridgedGateway):
    """SendRcv4 behind a bridge.  Every message says its own time."""

    def msgid(self, moment: datetime, sequence: int) -> str:
        """jgdm + yyyyMMdd + 9 digits: the time of day and three of the counter's."""
        return f"{self.site.fixmedins_code}{china(moment):%Y%m%d%H%M%S}{sequence % 1000:03}"

    def encode(self, call: Call, moment: datetime) -> Frame:
        environment = {**call.content.get("env", {}), "inf_time": national_time(moment)}
        return super().encode(replace(call, content={**call.content, "env": environment}), moment)


def shanghai_v5(site: Site) -> V5Gateway:
    """A V5 centre for one institution, ``SendRcv4.dll`` behind a bridge.

    Secrets: ``startup`` (startupParam, the site's constant).  Options: ``jgdm`` (V5's own institution code, default the national
    one), ``library`` (the bridge's name of the DLL, default ``SendRcv4``), ``query`` (``SI91``, the default, or ``bridge``),
    ``paystatus.done`` and ``paystatus.absent`` (what SI91 answers here), ``charset``, ``codes.med_type.<local>``.
    Raises: ConfigError.
    """
    own = ("jgdm", "library", "query", "paystatus.done", "paystatus.absent")
    options = site.options
    query = options.get("query", "SI91")
    if query not in ("SI91", "bridge"):
        raise ConfigError("gateway shanghai-v5: query is SI91 or bridge")
    if "startup" not in site.secrets:
        raise ConfigError("gateway shanghai-v5: missing secret startup")
    dialect = V5Centre(
        v5_table({name: value for name, value in options.items() if name not in own}),
        PayStatus(options.get("paystatus.done", ""), options.get("paystatus.absent", "")),
        site.secrets["startup"],
    )
    gateway = V5Gateway(
        "shanghai-v5",
        replace(site, fixmedins_code=options.get("jgdm", site.fixmedins_code)),
        dialect,
        load_route(table_text("v5_route"), {"SI91": CLOSE} if query == "bridge" else {}),
        POLICY,
        Capabilities(query_after_unknown="by_visit"),
        serial="serial",
    )
    gateway.bridged(Library(options.get("library", "SendRcv4"), "", {"": ("rcvMsg",)}), {"SN02": Around(each="lines")})
    return gateway
