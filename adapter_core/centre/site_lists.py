"""A site's own lists beside its configuration: openings, special drugs, notices; read again when a file changed.

A list that can't be read any more is not "nothing": the last one that could be read counts on, and the log says so once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from adapter_core.centre.notices import Notice
from adapter_core.formats.sheets import read_rows
from adapter_core.province.policy import Policy
from adapter_core.province.schemes import Opening, read_openings
from adapter_core.province.special_drugs import SpecialDrug, read_special_drugs
from adapter_core.settlement.circumstances import Circumstances, Downtime
from adapter_core.values.errors import AdapterError
from adapter_core.values.moments import national_time

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Kept(Generic[T]):
    """One table of a file, as it was read last."""

    def __init__(self, path: Path | None, read: Callable[[Sequence[Sequence[str]]], Iterable[T]]) -> None:
        self._path = path
        self._read = read
        self._stamp: tuple[int, int] | None = None
        self._rows: tuple[T, ...] = ()

    def rows(self) -> tuple[T, ...]:
        """Empty where no file is named, or none was ever there."""
        if self._path is None:
            return ()
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if stamp != self._stamp:
                self._stamp = stamp
                self._rows = tuple(self._read(read_rows(self._path.read_bytes(), self._path.name)))
        except FileNotFoundError:
            return self._rows
        except (AdapterError, OSError) as error:
            _log.error("%s can't be read, the last list counts on: %s", self._path.name, error)
        return self._rows


class SiteLists:
    """Called for the circumstances of now.

    notices: those that hold now; policies: prefix of a region → its own centre's texts.
    """

    def __init__(
        self,
        openings: Path | None,
        special_drugs: Path | None,
        notices: Callable[[], Iterable[Notice]],
        policies: Mapping[str, Policy],
    ) -> None:
        self._openings: Kept[Opening] = Kept(openings, read_openings)
        self._special_drugs: Kept[SpecialDrug] = Kept(special_drugs, read_special_drugs)
        self._notices = notices
        self._policies = policies

    def __call__(self) -> Circumstances:
        return Circumstances(self._openings.rows(), self._downtimes(), self._special_drugs.rows(), self._policies)

    def _downtimes(self) -> tuple[Downtime, ...]:
        try:
            return tuple(downtime(one) for one in self._notices())
        except AdapterError as error:
            _log.error("the notices can't be read: %s", error)
            return ()


def downtime(notice: Notice) -> Downtime:
    """A notice as the core knows it."""
    until = national_time(notice.until) if notice.until else ""
    return Downtime(notice.text, notice.admdvs, notice.kind == "planned", until, notice.source, notice.advice)
