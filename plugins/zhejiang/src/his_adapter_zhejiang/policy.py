"""Zhejiang's policy: the shipped catalogue as it is.

No error code and no wording of these centres is public.  A refusal of a money call whose words the catalogue doesn't know
stays UNKNOWN, and a person decides; a hospital that learns its centre's words adds them here.
"""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy()
