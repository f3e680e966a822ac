"""Opening: a new case between the one who opens it and the one who takes it on, until it is stored (J1, `reliability.md` §4)."""

from __future__ import annotations

import asyncio

from adapter_core.settlement.calls import Context
from adapter_core.settlement.records import Change
from adapter_core.values.copies import replace


class Opening:
    """context: with the case as it is to be stored; accepted: J1 without the case itself."""

    def __init__(self, context: Context, accepted: Change) -> None:
        self.context = context
        self._accepted = accepted
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_stored(self) -> bool:
        return self._end.done()

    @property
    def alone(self) -> Change:
        """J1 with nothing else."""
        assert self.context.case is not None
        return replace(self._accepted, cases=(*self._accepted.cases, self.context.case))

    def with_more(self, prepared: Change) -> Change:
        """J1 and J2, without the case itself."""
        accepted = self._accepted
        events, search = (*accepted.events, *prepared.events), (*accepted.search, *prepared.search)
        return replace(accepted, events=events, search=search)

    def stored(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def failed(self, why: Exception) -> None:
        """Nothing of it is stored, or nobody knows; nothing was sent."""
        self._end.set_exception(why)
        self._end.exception()  # whoever opened it may have gone: then nobody asks

    async def wait(self) -> None:
        """Until it is stored.  Raises: why it is not."""
        await asyncio.shield(self._end)
