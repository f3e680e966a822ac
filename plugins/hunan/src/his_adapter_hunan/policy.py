"""The policy: the shipped catalogue; no list of codes of this gateway is public."""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy()
