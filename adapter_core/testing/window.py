"""A cashier's window for a test: the whole adapter in a folder of its own, in front of a simulated centre on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.bootstrap.site import plugins
from adapter_core.config import load_config
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation, Outcome
from adapter_core.settlement.answers import in_their_form
from adapter_core.simulator.faults import read_rules
from adapter_core.simulator.people import Filing
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.truth import truth_of
from adapter_core.values.errors import NotSupported, Refused, TranslationError
from adapter_core.values.frames import Frame

TIMERS = """\
[timers]
sync_wait = 3.0
money_deadline = 5.0
late_commit = 5.5
query_lag = 0
second_negative = 0.05
query_steps = [0.05]
query_step_last = 0.1
reversal_retry = 0.2
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a window stands: what a configuration says of institution and gateway.

    secrets: rehearsal keys by name; options and capabilities: as in ``[gateway]``; dialect_options: by dialect name.
    """

    gateway: str = "national"
    path: str = "/fsi/api"
    fixmedins_code: str = "H36010000001"
    admdvs: str = "360100"
    secrets: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    dialect_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a HIS got: the outcome (None where it was refused unread), its frame in the HIS's form, and what it was told.

    state: SETTLED, QUOTED …, or the code of a refusal.
    """

    state: str
    outcome: Outcome | None = None
    frame: Frame | None = None
    text: str = ""


@dataclass(slots=True)
class Window:
    """One running adapter, its simulated centre, and the dialect this HIS speaks."""

    running: Adapter
    centre: Simulator
    dialect: Dialect

    async def says(self, raw: bytes, name: str, side: Mapping[str, str] | None = None) -> Heard:
        """One message of the HIS, as a file of this dialect."""
        frame = self.dialect.read_frame_file(raw, name)
        if side:
            frame = Frame(**{**{one: getattr(frame, one) for one in frame.__slots__}, "side": dict(side)})
        return await self.asks(frame)

    async def asks(self, frame: Frame) -> Heard:
        operation: Operation | None = None
        try:
            operation = self.dialect.decode_request(frame)
            place = self.running.place
            # a window waits for its answer, a stay's too
            outcome = await self.running.pipeline.handle(place, self.dialect, operation, place.timers.sync_wait)
        except (TranslationError, Refused, NotSupported) as error:
            return Heard(error.code, text=f"{error}: {error.message_zh}")
        return Heard(outcome.state, outcome, in_their_form(self.dialect, operation, outcome), outcome.message_zh)

    def rules(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Faults the centre plays from now on (`contracts.md` §6)."""
        self.centre.set_rules(read_rules(list(rows)))

    @property
    def settlements(self) -> list[dict[str, Any]]:
        """The settlements the centre holds, oldest first."""
        found: list[dict[str, Any]] = truth_of(self.centre.world)["settlements"]
        return found


@asynccontextmanager
async def window(folder: Path, site: Site, dialect: str) -> AsyncIterator[Window]:
    """Opens one; everything it keeps lies in ``folder``.  The centre's people are filed for care in this province."""
    loaded = plugins()
    dialects = {name: loaded.dialect(name, site.dialect_options.get(name, {})) for name in loaded.dialect_names()}
    for name, value in site.secrets.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(value, "utf-8")
    async with centre_of(site, dialects) as centre:
        (folder / "his-adapter.toml").write_text(config_text(site, centre.url), "utf-8")
        async with adapter(load_config(folder / "his-adapter.toml")) as running:
            yield Window(running, centre, running.dialect(dialect))


@asynccontextmanager
async def centre_of(site: Site, dialects: Mapping[str, Dialect]) -> AsyncIterator[Simulator]:
    """A simulated centre whose people are filed for care in the site's province."""
    async with Simulator(dialects=dialects) as centre:
        for person in centre.world.people:
            person.filings.append(Filing("long_stay", site.admdvs[:2], "2020-01-01"))
        yield centre


def config_text(site: Site, url: str) -> str:
    """The site's configuration, without clients."""
    lines = [
        "[institution]",
        f"fixmedins_code = {_toml(site.fixmedins_code)}",
        'fixmedins_name = "测试医院"',
        f"admdvs = {_toml(site.admdvs)}",
        f"defaults = {_toml({'visit.caty': 'A03', **site.defaults})}",
        "[gateway]",
        f"kind = {_toml(site.gateway)}",
        f"url = {_toml(url + site.path)}",
        'plain_http = "rehearsal against the simulated centre"',
        f"options = {_toml(site.options)}",
        f"secret_files = {_toml({name: name for name in site.secrets})}",
        *(f"{name} = {_toml(value)}" for name, value in site.capabilities.items()),
        f"[dialect_options]\n{''.join(f'{_toml(name)} = {_toml(options)}{chr(10)}' for name, options in site.dialect_options.items())}",
    ]
    return "\n".join([*lines, TIMERS])


def _toml(value: Any) -> str:
    """A value as TOML writes it inline; JSON's text, number and boolean forms are TOML's."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(part)}" for name, part in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
