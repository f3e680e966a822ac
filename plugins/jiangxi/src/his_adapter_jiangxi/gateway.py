"""Jiangxi's current gateway: the national JSON over CSB, one service per number (N-CSB b).

Evidence: public client code (docs of this plugin, README §Gateway).  ``sign_in`` is by operator and day: samples carry a
``sign_no``; whether a centre insists is not known, so it is a site's setting.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from adapter_core.formats.signing import csb_headers
from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway, Profile, Signing
from adapter_core.province.national_variants import national_variant
from adapter_core.values.moments import china

API_VERSION = "1.0.0"
MATERNITY = "/hsa-hgs-adapt/mbs/api/publicMatnTrtRegService/"
ELSEWHERE = {"2572": f"{MATERNITY}addEvtInfo", "2573": f"{MATERNITY}revokeEvtReg"}
"""Maternity filing and its withdrawal don't go to CSB's path."""


def service_name(site: Site, infno: str) -> str:
    """``hsa-fsi-<infno>``; the option ``name_prefix`` (``yfb-``) names the pre-release environment."""
    return f"{site.options.get('name_prefix', '')}hsa-fsi-{infno}"


def msgid(code: str, moment: datetime, sequence: int) -> str:
    """``fixmedins_code`` + yyyyMMddHHmmss + n, not padded, so its length varies."""
    return f"{code}{china(moment):%Y%m%d%H%M%S}{sequence % 10000}"


def path(site: Site, infno: str) -> str:
    """CSB's one service per number; maternity filing has paths of its own."""
    return ELSEWHERE.get(infno) or f"/CSB/{service_name(site, infno)}"


def _headers(signing: Signing) -> Iterable[tuple[str, str]]:
    secrets = signing.site.secrets
    return csb_headers(
        secrets["ak"].reveal(),
        secrets["sk"],
        api_name=service_name(signing.site, signing.infno),
        api_version=signing.site.options.get("api_version", API_VERSION),
        timestamp=str(int(signing.moment.timestamp()) * 1000 + signing.moment.microsecond // 1000),
    )


def jiangxi(site: Site) -> NationalGateway:
    """The gateway for one institution.  Secrets: ``ak``, ``sk``."""
    profile = Profile(
        path=path,
        headers=_headers,
        msgid=msgid,
        recer_sys_code=site.options.get("recer_sys_code", "his"),
        infver=site.options.get("infver", "V1.1"),
        opter_type_as_number=True,
        secrets=("ak", "sk"),
    )
    return NationalGateway("jiangxi", site, profile)


def jiangxi_vendor(site: Site) -> NationalGateway:
    """A vendor's platform for care elsewhere (中公网 and its like), between hospital and province: the transport only.

    Nothing is public of its fields, codes or frames, so the national JSON goes through it, and address, signature and envelope are
    the site's options.  Options and secrets: `adapter_core.province.national_variants`.  Raises: ConfigError.
    """
    return national_variant("jiangxi-vendor", site, {})
