"""Inner Mongolia's policy: the shipped catalogue, and the numbers that one client says 2601 may name [E].

The same client's comments call -1 a system error and -2 a business error; a comment is no list of codes, so neither is definite.
"""

from __future__ import annotations

from adapter_core.province.policy import Policy

POLICY = Policy(reversible=frozenset({"2207", "2208", "2304", "2305", "2401"}))
