"""Shanxi's policy: the shipped catalogue, as no error code or wording of either gateway is public, and the provincial overlay
(慢性病登记, 两病, 预住院, 双通道, 三定) as dated data."""

from __future__ import annotations

from importlib.resources import files

from adapter_core.province.local_rules import load_rules
from adapter_core.province.policy import Policy

OVERLAY = (files("his_adapter_shanxi") / "tables" / "overlay.toml").read_text("utf-8")
POLICY = Policy(local_rules=load_rules(OVERLAY))
