"""Guangdong's gateways: the national JSON over x-tif (N-TIF a), and a centre that still speaks STYDJY.

Evidence: public client code, see README.  ``sign_in`` stays at the default: clients carry a ``sign_no`` from 9001 per
operator, but whether a centre insists is not known, so it is a site's setting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime

from adapter_core.formats.signing import tif_headers
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.legacy import LegacyGateway
from adapter_core.province.national import NationalGateway, Profile, Signing
from adapter_core.province.plan import load_route
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import china
from his_adapter_guangdong.dialect import CENTRE_OPTIONS, StydjCentre, table_text
from his_adapter_guangdong.policy import POLICY

HEX_CASES = ("lower", "upper")
SOAP_PATH = "/web/services/STYDJY.STYDJYHttpSoap11Endpoint/"
RECORDS_OF_MONEY = ("trial", "settled")
REPEATED = {"ykc700": "visit.mdtrt_id", "aac002": "person.psn_no", "aac044": "person.certno"}
"""Elements that no reply was seen to repeat; one that does must repeat them right."""


def path(site: Site, infno: str) -> str:
    """``/ebus/<paasid>/hsa/hgs/<infno>``; the option ``test_segment`` (``poc``) names a test environment."""
    segment = site.options.get("test_segment", "").strip("/")
    middle = f"/{segment}" if segment else ""
    return f"/ebus/{site.secrets['paasid'].reveal()}{middle}/hsa/hgs/{infno}"


def msgid(code: str, moment: datetime, sequence: int) -> str:
    """``fixmedins_code`` + yyyyMMddHHmmssfff in China time + one digit."""
    local = china(moment)
    return f"{code}{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03}{sequence % 10}"


def nonce(call_msgid: str) -> str:
    """1-10 digits, the same for the same call: a gateway that remembers them sees each call's own."""
    return str(int.from_bytes(hashlib.sha256(call_msgid.encode()).digest()[:8], "big") % 10**10)


def guangdong(site: Site, nonce_of: Callable[[str], str] = nonce) -> NationalGateway:
    """The x-tif gateway for one institution.

    Secrets: ``paasid``, ``token``.  Options: ``recer_sys_code`` (the vendor's short code, default ``ZZ``), ``infver``,
    ``test_segment``, ``hex_case`` (``lower`` | ``upper``).  Raises: ConfigError.
    """
    options = site.options
    hex_case = options.get("hex_case", "lower")
    if hex_case not in HEX_CASES:
        raise ConfigError(f"gateway guangdong: hex_case is one of {', '.join(HEX_CASES)}, not {hex_case!r}")

    def headers(signing: Signing) -> Iterable[tuple[str, str]]:
        secrets = signing.site.secrets
        return tif_headers(
            secrets["paasid"].reveal(),
            secrets["token"],
            timestamp=str(int(signing.moment.timestamp())),
            nonce=nonce_of(signing.msgid),
            upper=hex_case == "upper",
        )

    profile = Profile(
        path=path,
        headers=headers,
        msgid=msgid,
        recer_sys_code=options.get("recer_sys_code", "ZZ"),
        infver=options.get("infver", "V1.0"),
        secrets=("paasid", "token"),
    )
    return NationalGateway("guangdong", site, profile, POLICY)


def guangdong_soap(site: Site) -> LegacyGateway:
    """A STYDJY centre for one institution.

    No secrets: the service has none.  Options: those of `StydjCentre`, ``codes.cert.<local>``, ``codes.gend.<local>`` and
    ``path`` (default: the SOAP 1.1 endpoint).  Raises: ConfigError.
    """
    unknown = [name for name in site.options if name not in (*CENTRE_OPTIONS, "path") and not name.startswith("codes.")]
    if unknown:
        raise ConfigError(f"gateway guangdong-soap: no such option: {', '.join(unknown)}")
    return LegacyGateway(
        "guangdong-soap",
        site,
        StydjCentre(site),
        load_route(table_text("stydj_route")),
        POLICY,
        Capabilities(query_after_unknown="none"),
        site.options.get("path", SOAP_PATH),
        echoes=[(asked, f"x.{record}.{element}") for record in RECORDS_OF_MONEY for element, asked in REPEATED.items()],
    )
