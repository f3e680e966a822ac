"""Anhui's policy: the shipped catalogue as it is; no code or wording of any of its gateways is public but one refusal."""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy()
