"""The national JSON of Sichuan (one address over HTTP, or a COM library) and of Chongqing (a DLL).

Evidence: public clients, see README.
"""

from __future__ import annotations

from adapter_core.province.bridged_national import BridgedNational, JsonLibrary, through
from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from his_adapter_sichuan_chongqing.policy import POLICY

SICHUAN = {"path": "/mss/web/api/fsi/callService"}
CHONGQING = {"recer_sys_code": "YBXT"}
"""``LXXT`` 离休, ``GSXT`` 工伤: the option ``recer_sys_code``."""
CHS = JsonLibrary("YinHai.CHS.InterfaceSCS", "yh_CHS_call", text="json", infno="infno")
HSF = JsonLibrary("SiInterface_hsf", "BUSINESS_HANDLE", refusal="-2")


def sichuan(site: Site) -> NationalGateway:
    """Sichuan over HTTP, without a signature as far as seen.  Options and secrets: `adapter_core.province.national_variants`."""
    return national_variant("sichuan", site, SICHUAN, policy=POLICY)


def sichuan_library(site: Site) -> BridgedNational:
    """Sichuan through its COM library behind a bridge.  Options: as `sichuan`."""
    return through(national_variant("sichuan-library", site, {}, policy=POLICY), CHS)


def chongqing(site: Site) -> BridgedNational:
    """Chongqing through its DLL behind a bridge: 0 done, -1 system error (unknown here), -2 business error [E]."""
    return through(national_variant("chongqing", site, CHONGQING, policy=POLICY), HSF)
