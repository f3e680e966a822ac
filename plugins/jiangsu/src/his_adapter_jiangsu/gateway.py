"""Jiangsu's gateway: the national JSON over CSB, one address for every number (N-CSB a), the timestamp in seconds.

Evidence: two public clients and the card library's documentation, see README.
"""

from __future__ import annotations

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from adapter_core.values.errors import ConfigError
from his_adapter_jiangsu.policy import POLICY

EVIDENCED = {
    "signer": "csb",
    "path": "/CSB",
    "timestamp": "s",
    "api_version": "1.0.0",
    "recer_sys_code": "0023",
    "infver": "V1.0",
    "signtype": "SM2",
}
"""``signtype`` says SM2 though nothing is signed so [E]; ``0023`` is the one receiver seen."""
DEADLINE_S = 120.0
"""How long the clients wait [E]."""


def jiangsu(site: Site) -> NationalGateway:
    """The gateway for one institution.

    Secrets: ``ak``, ``sk``.  Options: ``api_name`` (the provincial service's name; never a constant) and ``fixmedins_soft_fcty``
    (the HIS's maker, a field of this province's envelope), both needed; the others of
    `adapter_core.province.national_variants`.  Raises: ConfigError.
    """
    if not site.options.get("fixmedins_soft_fcty"):
        raise ConfigError("gateway jiangsu: fixmedins_soft_fcty is missing: the name of the HIS's maker")
    capabilities = Capabilities(
        sign_in="operator_day", money_deadline_s=DEADLINE_S, inpatient_deadline_s=DEADLINE_S, read_deadline_s=DEADLINE_S
    )
    return national_variant("jiangsu", site, EVIDENCED, policy=POLICY, capabilities=capabilities)
