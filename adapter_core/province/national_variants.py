"""The national gateway where only its settings differ, or where they are not known: address, signer and small habits as options.

A plugin hands in what is evidenced as defaults; everything is a site's to change.  Options:

| option | says | default |
|---|---|---|
| ``signer`` | ``none``, ``apikey``, ``csb``, ``x-tif`` or ``x-ca`` | ``none`` |
| ``path`` | appended to the address; ``{infno}``, ``{service}`` (``/<service>/<method>``), ``{api_name}``, ``{paasid}`` | nothing: the infno is in the body |
| ``path.<infno>`` | the path of one number | – |
| ``api_name``, ``api_version``, ``timestamp`` | CSB: the name (``{infno}`` allowed), the version, ``ms`` or ``s`` | none, ``1.0.0``, ``ms`` |
| ``hex_case`` | x-tif: ``lower`` or ``upper`` | ``lower`` |
| ``recer_sys_code``, ``infver``, ``signtype`` | envelope fields | ``FSI_LOCAL``, ``V1.0``, empty |
| ``fixmedins_soft_fcty`` | envelope field of single provinces: the HIS's maker | left out |
| ``opter_type`` | ``text`` or ``number`` | ``text`` |

Secrets: ``apikey``; ``ak`` and ``sk`` (CSB); ``paasid`` and ``token`` (x-tif); ``key`` and ``secret`` (x-ca).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from adapter_core.formats.signing import csb_headers, tif_headers, xca_headers
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway, Profile, Signing, counted_msgid, service_path
from adapter_core.province.policy import Policy
from adapter_core.values.errors import ConfigError

Headers = Iterable[tuple[str, str]]
SECRETS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "apikey": ("apikey",),
    "csb": ("ak", "sk"),
    "x-tif": ("paasid", "token"),
    "x-ca": ("key", "secret"),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "signer": tuple(SECRETS),
    "timestamp": ("ms", "s"),
    "hex_case": ("lower", "upper"),
    "opter_type": ("text", "number"),
}
PLAIN: Mapping[str, str] = {
    "signer": "none",
    "path": "",
    "api_name": "",
    "api_version": "1.0.0",
    "timestamp": "ms",
    "hex_case": "lower",
    "recer_sys_code": "FSI_LOCAL",
    "infver": "V1.0",
    "signtype": "",
    "fixmedins_soft_fcty": "",
    "opter_type": "text",
}
"""Every option with its default; ``path.<infno>`` beside them."""


def national_variant(
    name: str,
    site: Site,
    evidenced: Mapping[str, str],
    *,
    msgid: Callable[[str, datetime, int], str] = counted_msgid,
    variants: Mapping[str, str] | None = None,
    policy: Policy | None = None,
    capabilities: Capabilities | None = None,
) -> NationalGateway:
    """The national gateway ``name`` for one institution.

    evidenced: a province's own defaults over the plain ones; the site's options are over both.
    Raises: ConfigError for an unknown option or choice, a CSB signer without ``api_name``, a missing secret.
    """
    options = _options(name, site, evidenced)
    extra = {code: options[code] for code in ("signtype", "fixmedins_soft_fcty") if options[code]}
    profile = Profile(
        path=lambda here, infno: options.get(f"path.{infno}") or _path(here, infno, options),
        headers=lambda signing: _signed(signing, options),
        msgid=msgid,
        recer_sys_code=options["recer_sys_code"],
        infver=options["infver"],
        opter_type_as_number=options["opter_type"] == "number",
        envelope=extra,
        variants=variants or {},
        secrets=SECRETS[options["signer"]],
    )
    return NationalGateway(name, site, profile, policy, capabilities)


def nonce(msgid: str) -> str:
    """1-10 digits, the same for the same call."""
    return str(int.from_bytes(hashlib.sha256(msgid.encode()).digest()[:8], "big") % 10**10)


def _options(name: str, site: Site, evidenced: Mapping[str, str]) -> dict[str, str]:
    unknown = [option for option in site.options if option not in PLAIN and not option.startswith("path.")]
    if unknown:
        raise ConfigError(f"gateway {name}: no such option: {', '.join(unknown)}")
    options = {**PLAIN, **evidenced, **site.options}
    for option, choices in CHOICES.items():
        if options[option] not in choices:
            raise ConfigError(f"gateway {name}: {option} is one of {', '.join(choices)}, not {options[option]!r}")
    if options["signer"] == "csb" and not options["api_name"]:
        raise ConfigError(f"gateway {name}: api_name is missing: the name of the service as the bureau gave it")
    return options


def _path(site: Site, infno: str, options: Mapping[str, str]) -> str:
    template = options["path"]
    if not template:
        return ""
    places = {
        "infno": infno,
        "service": service_path(site, infno) if "{service}" in template else "",
        "api_name": options["api_name"].replace("{infno}", infno),
        "paasid": site.secrets["paasid"].reveal() if "{paasid}" in template else "",
    }
    for place, text in places.items():
        template = template.replace("{" + place + "}", text)
    return template


def _signed(signing: Signing, options: Mapping[str, str]) -> Headers:
    secrets, seconds = signing.site.secrets, int(signing.moment.timestamp())
    match options["signer"]:
        case "apikey":
            return (("apikey", secrets["apikey"].reveal()),)
        case "csb":
            milliseconds = seconds * 1000 + signing.moment.microsecond // 1000
            return csb_headers(
                secrets["ak"].reveal(),
                secrets["sk"],
                api_name=options["api_name"].replace("{infno}", signing.infno),
                api_version=options["api_version"],
                timestamp=str(seconds if options["timestamp"] == "s" else milliseconds),
            )
        case "x-tif":
            return tif_headers(
                secrets["paasid"].reveal(),
                secrets["token"],
                timestamp=str(seconds),
                nonce=nonce(signing.msgid),
                upper=options["hex_case"] == "upper",
            )
        case "x-ca":
            return xca_headers(secrets["key"].reveal(), secrets["secret"], signing.body, timestamp=str(seconds))
        case _:
            return ()
