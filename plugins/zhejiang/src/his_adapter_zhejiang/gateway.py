"""Zhejiang's gateways: the national JSON over x-ca (N-XCA), and centres that still speak BargaingApply or SiInterface.

Evidence: public client code, see README.  ``sign_in`` stays at the default for the national gateway: 9001 is required [E], but
per operator or per process is not known, so it is a site's setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from adapter_core.formats.signing import xca_headers
from adapter_core.province.bridge import CLOSE, BridgedGateway, Library
from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.messages import Call
from adapter_core.province.national import NationalGateway, Profile, Signing
from adapter_core.province.plan import load_route
from adapter_core.standard.transactions import endpoint
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import china
from his_adapter_zhejiang.dialect import InsigmaCentre, insigma_table, table_text
from his_adapter_zhejiang.policy import POLICY
from his_adapter_zhejiang.siinterface import SiInterfaceCentre, siinterface_table

VARIANTS = {"2206": "2206A", "2207": "2207A"}
METHODS = {
    "2206A": "/fsi/api/outpatientSettleService/preSettletmentA",
    "2207A": "/fsi/api/outpatientSettleService/saveSettletmentA",
}
"""The A-variants' own paths here; the misspelling is the real name."""
FSI_LOCAL = frozenset({"2206A", "2207A", "9101", "9102"})
"""Calls that a public client sends to FSI_LOCAL; all others go to MBS_LOCAL."""
FILLED = {"dev_no": "1", "dev_safe_info": "1", "cainfo": "1", "signtype": "1"}
"""Envelope fields that public clients always fill; why is not known."""
CARD_OPTIONS = ("codes.", "layout.", "rx_circ_flag", "hosp_appr_flag", "psn_setlway")


def path(site: Site, infno: str) -> str:
    """``/fsi/api/<service>/<method>``.  The option ``path.<infno>`` names one that no public source shows (5201)."""
    return (
        site.options.get(f"path.{infno}") or METHODS.get(infno) or endpoint(infno) or endpoint(infno[:4]) or "/fsi/api"
    )


def msgid(code: str, moment: datetime, sequence: int) -> str:
    """``fixmedins_code`` + yyyyMMddHHmmss + four digits.  Public clients always write 9999; a number of its own for each call is
    what lets one call be told from another of the same second."""
    return f"{code}{china(moment):%Y%m%d%H%M%S}{sequence % 10000:04}"


def zhejiang(site: Site) -> NationalGateway:
    """The x-ca gateway for one institution.

    Secrets: ``key`` (``x-ca-key``), ``secret``.  Options: ``recer_sys_code.<infno>``, ``infver``, ``path.<infno>``.
    """
    options = site.options

    def receiver(call: Call) -> str:
        usual = "FSI_LOCAL" if call.message in FSI_LOCAL else "MBS_LOCAL"
        return options.get(f"recer_sys_code.{call.message}", usual)

    profile = Profile(
        path=path,
        headers=_headers,
        msgid=msgid,
        recer_sys_code=receiver,
        infver=options.get("infver", "1.0"),
        envelope=FILLED,
        variants=VARIANTS,
        secrets=("key", "secret"),
    )
    return NationalGateway("zhejiang", site, profile, POLICY)


def _headers(signing: Signing) -> Iterable[tuple[str, str]]:
    secrets = signing.site.secrets
    timestamp = str(int(signing.moment.timestamp()))
    return xca_headers(secrets["key"].reveal(), secrets["secret"], signing.body, timestamp=timestamp)


class InsigmaGateway(BridgedGateway):
    """f_UserBargaingApply behind a bridge."""

    def msgid(self, moment: datetime, sequence: int) -> str:
        """``seq`` is a double: fifteen digits are exact."""
        return f"{china(moment):%y%m%d%H%M%S}{sequence % 1000:03}"


def zhejiang_insigma(site: Site) -> BridgedGateway:
    """A BargaingApply centre for one institution, its library behind a bridge.

    No secrets.  Options: those of the dialect; ``library`` (the bridge's name of the DLL, default ``BargaingApply``); ``query``:
    ``bridge`` (default: the bridge is asked what became of a call) or ``43`` (the centre is; its layout is deduced).
    Raises: ConfigError.
    """
    own = {"library": "BargaingApply", "query": "bridge"}
    settings = _settings(site, "zhejiang-insigma", own, lambda name: name.startswith(CARD_OPTIONS))
    if settings["query"] not in ("bridge", "43"):
        raise ConfigError("gateway zhejiang-insigma: query is bridge or 43")
    variants = {} if settings["query"] == "43" else {"43": CLOSE}
    table = insigma_table({name: value for name, value in site.options.items() if name not in own})
    gateway = InsigmaGateway(
        "zhejiang-insigma",
        site,
        InsigmaCentre(table),
        load_route(table_text("insigma_route"), variants),
        POLICY,
        Capabilities(query_after_unknown="by_visit" if variants else "none", sign_in="operator_day"),
        serial="seq",
    )
    return gateway.bridged(Library(settings["library"], "", {"": ("out",)}))


def zhejiang_siinterface(site: Site) -> BridgedGateway:
    """A SiInterface centre for one institution, its library behind a bridge.

    No secrets.  Options: those of the dialect, ``args.09`` and ``args.10`` among them; ``library`` (default ``SiInterface``).
    Raises: ConfigError.
    """
    own = {"library": "SiInterface"}
    settings = _settings(site, "zhejiang-siinterface", own, lambda name: name.startswith(("codes.", "args.")))
    missing = [name for name in ("args.09", "args.10") if not site.options.get(name)]
    if missing:
        raise ConfigError(
            f"gateway zhejiang-siinterface: {', '.join(missing)} must name the arguments; they are not public"
        )
    table = siinterface_table({name: value for name, value in site.options.items() if name not in own})
    gateway = BridgedGateway(
        "zhejiang-siinterface",
        site,
        SiInterfaceCentre(table),
        load_route(table_text("siinterface_route")),
        POLICY,
        Capabilities(query_after_unknown="by_visit"),
    )
    return gateway.bridged(Library(settings["library"], "", {"": ("out",)}))


def _settings(site: Site, name: str, own: dict[str, str], others: Callable[[str], bool]) -> dict[str, str]:
    unknown = [option for option in site.options if option not in own and not others(option)]
    if unknown:
        raise ConfigError(f"gateway {name}: no such option: {', '.join(unknown)}")
    return {option: site.options.get(option, default) for option, default in own.items()}
