"""Rows that the simulated centre publishes, by catalogue, and what hospitals left with it: mapped items, settlement lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COLUMNS = ("med_list_codg", "drug_prodname", "drug_spec", "vali_flag", "ver")
SEEDED = 40


@dataclass(slots=True)
class Published:
    """rows: catalogue → code → cells in the order of `COLUMNS`; mapped: what hospitals uploaded by 3301."""

    rows: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    mapped: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)

    def catalogue(self, infno: str) -> dict[str, tuple[str, ...]]:
        if infno not in self.rows:
            self.rows[infno] = {row[0]: row for row in made_rows(infno, SEEDED)}
        return self.rows[infno]

    def publish(self, infno: str, rows: Iterable[tuple[str, ...]]) -> None:
        """New and changed rows, each of a new version."""
        known = self.catalogue(infno)
        for row in rows:
            known[row[0]] = row


def made_rows(infno: str, count: int, version: str = "V1") -> list[tuple[str, ...]]:
    """Invented rows, for a rehearsal."""
    return [
        (f"X{infno}{number:06}", f"测试目录项{number}", f"规格{number * 7919 % 1000}", "1", version)
        for number in range(1, count + 1)
    ]
