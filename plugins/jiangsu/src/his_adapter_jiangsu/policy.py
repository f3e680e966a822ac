"""Jiangsu's policy: the shipped catalogue; the province's list of codes is not public."""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy()
