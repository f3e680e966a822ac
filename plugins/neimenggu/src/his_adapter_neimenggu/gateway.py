"""Inner Mongolia's gateway: the national JSON, one address for every number and a constant ``apikey`` header (N-KEY).

Evidence: one public client, see README.
"""

from __future__ import annotations

from adapter_core.province.capabilities import Capabilities
from adapter_core.province.ec_front import EcFront
from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from his_adapter_neimenggu.policy import POLICY

EVIDENCED = {
    "signer": "apikey",
    "path": "/uif-hsaf-med-api/api/medical/service",
    "recer_sys_code": "MBS_LOCAL",
    "infver": "V1.0",
    "signtype": "PRCSSC",
}
EC_PATH = "/localcfc/api/hsecfc/localQrCodeQuery"


def neimenggu(site: Site) -> NationalGateway:
    """The gateway for one institution.

    Secret: ``apikey``.  Options: `adapter_core.province.national_variants`.  The client signs in before its first call and keeps
    the number in memory [E]; we keep one for each operator and day, which is the same or more often.  Raises: ConfigError.
    """
    capabilities = Capabilities(sign_in="operator_day")
    return national_variant("neimenggu", site, EVIDENCED, policy=POLICY, capabilities=capabilities)


def ec_front(org: str) -> EcFront:
    """The province's electronic credential front end [E].  org: the institution's code."""
    return EcFront(EC_PATH, org)
