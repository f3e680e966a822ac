"""Credentials: what proves the person at the window, and how old it is.  Pure.

They are sealed with the encounter, never hashed or compared as content, and one that is too old moves no money: it is scanned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapter_core.settlement.absorb import CREDENTIALS, ELECTRONIC
from adapter_core.settlement.records import Encounter
from adapter_core.values.content import Content
from adapter_core.values.copies import replace

SECTION = "credential"
"""The section of an encounter's content that says since when its credential is known: ``at``, RFC 3339."""


def credential_of(person: Mapping[str, Any]) -> Content:
    """What of a person is a credential; ``mdtrt_cert_no`` only of an electronic one."""
    electronic = {"mdtrt_cert_no"} if person.get("mdtrt_cert_type") == ELECTRONIC else set()
    return {
        name: value for name, value in person.items() if name in CREDENTIALS | electronic and value not in (None, "")
    }


def noted_credential(encounter: Encounter, said: Content, at: str) -> Encounter:
    """The encounter with the time its credential came; the same one again is no fresh scan.

    said: as it will be, with the message's; the encounter: as it was before.
    """
    known = credential_of(encounter.content.get("person", {}))
    if not said or (said == known and SECTION in encounter.content):
        return encounter
    return replace(encounter, content={**encounter.content, SECTION: {"at": at}})


def credential_age_s(encounter: Encounter, now: datetime) -> float | None:
    """Seconds since the credential came; None where the encounter has none, or it isn't known since when."""
    noted = encounter.content.get(SECTION)
    if noted is None or not credential_of(encounter.content.get("person", {})):
        return None
    return (now - datetime.fromisoformat(noted["at"])).total_seconds()
