"""Who drives a case: one replica at a time, by leases observed on its own clock (`reliability.md` §7).

A claim is an ordinary write: the case one version on, under a new owner and epoch.  Every later write of the old owner then meets
another version and stops it: the version is the fence.
"""

from __future__ import annotations

from adapter_core.settlement.ports import Clock, Conflict, Ledger, VersionMoved
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.values.copies import replace
from adapter_core.values.moments import iso


class Ownership:
    """instance: this process's own name, new at every start.  exclusive: the ledger belongs to one process at a time
    (SQLite's file lock), so whoever owned a case before is dead.  lease_s: how long an unchanged case counts as owned."""

    def __init__(self, ledger: Ledger, clock: Clock, instance: str, lease_s: float, exclusive: bool) -> None:
        self._ledger = ledger
        self._clock = clock
        self.instance = instance
        self.lease_s = lease_s
        self.exclusive = exclusive
        self._seen: dict[str, tuple[int, float]] = {}

    def is_mine(self, case: Case) -> bool:
        return case.owner == self.instance

    def may_claim(self, case: Case) -> bool:
        """Released, or a dead process's, or seen at the same version for a whole lease on this process's own clock.

        Its own case too: one that was opened a moment ago is only about to be driven.
        """
        if case.owner == "" or (self.exclusive and case.owner != self.instance):
            return True
        version, since = self._seen.get(case.case_id, (0, 0.0))
        if version != case.version:
            self._seen[case.case_id] = (case.version, self._clock.mono())
            return False
        return self._clock.mono() - since >= self.lease_s

    async def claim(self, case: Case) -> Case | None:
        """The case under this owner; None when somebody else wrote it meanwhile."""
        claimed = replace(case, owner=self.instance, epoch=case.epoch + 1, version=case.version + 1)
        facts = {"owner": self.instance, "epoch": str(claimed.epoch), "state": str(case.state)}
        event = Event("CLAIMED", iso(self._clock.wall()), case.case_id, case.encounter_id, facts)
        try:
            await self._ledger.commit(Change(case.org, cases=(claimed,), events=(event,)))
        except Conflict:
            return None
        self._seen.pop(case.case_id, None)
        return claimed

    async def renew(self, case: Case) -> Case | None:
        """A sign of life while nothing else is written; None when the case is no longer ours."""
        if self.exclusive:
            return case
        renewed = replace(case, version=case.version + 1)
        try:
            await self._ledger.commit(Change(case.org, cases=(renewed,)))
        except Conflict:
            return None
        return renewed


async def unmoved(ledger: Ledger, case: Case) -> Case:
    """The case at its present version.  Raises: VersionMoved when another owner, a cancel or an end came in between."""
    now = await ledger.case(case.case_id)
    assert now is not None
    if (now.owner, now.epoch, now.state, now.wanted) != (case.owner, case.epoch, case.state, case.wanted):
        raise VersionMoved(f"case {case.case_id} went on without this process")
    return now
