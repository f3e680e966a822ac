"""Hunan's gateway: the national JSON over CSB at one address, the service's name being the bare number (N-CSB c).

Evidence: two public clients, see README.
"""

from __future__ import annotations

from adapter_core.province.gateway import Site
from adapter_core.province.national import NationalGateway
from adapter_core.province.national_variants import national_variant
from his_adapter_hunan.policy import POLICY

EVIDENCED = {
    "signer": "csb",
    "path": "/isp-api/powercsb",
    "api_name": "{infno}",
    "timestamp": "ms",
    "recer_sys_code": "his",
}
"""``/fsi/api/rsfComIfsService/callService`` is seen as well: the option ``path``."""


def hunan(site: Site) -> NationalGateway:
    """The gateway for one institution.

    Secrets: ``ak``, ``sk``.  Options: `adapter_core.province.national_variants`.  A vendor's sample waits 10 s, which is too short
    for 2304; our deadlines stay the shipped ones.  Raises: ConfigError.
    """
    return national_variant("hunan", site, EVIDENCED, policy=POLICY)
