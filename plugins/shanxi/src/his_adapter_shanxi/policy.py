"""Shanxi's policy: the shipped catalogue as it is; no error code or wording of either gateway is public."""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy()
