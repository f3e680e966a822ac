"""A rehearsal: a recorded day played again over another gateway, on a ledger thrown away afterwards, and what came out otherwise.

Without a test centre of its own it runs before the simulated one, twice: over the gateways the day went by, and over the new one.
The persons are fictional in both, so that what differs is the route's doing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapter_core.bootstrap.assembly import Adapter, adapter
from adapter_core.bootstrap.site import plugins
from adapter_core.config import Config, GatewaySettings, Institution, LedgerSettings, PapersSettings
from adapter_core.operations.recorded_day import Day, Recorded, Told, recorded_day
from adapter_core.province.messages import Outcome
from adapter_core.settlement.amounts import amounts
from adapter_core.simulator.doors import Keys
from adapter_core.simulator.people import Filing
from adapter_core.simulator.server import Simulator
from adapter_core.simulator.world import World
from adapter_core.values.errors import AdapterError, ConfigError
from adapter_core.values.moments import Clock
from adapter_core.values.secrets import Secret

PATIENCE_S = 25.0
REASON = "rehearsal"


@dataclass(frozen=True, slots=True)
class Wanted:
    """day: China time; gateway: the configured name; institution: "" for the only one; against: address of a test centre, "" for
    the simulated one; path: where the gateway is at the simulated centre, None for the path of its configured address."""

    day: date
    gateway: str
    institution: str = ""
    against: str = ""
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One message.  before: what it is told over the gateway of that day, None where only the record says so; after: over the new."""

    message: Recorded
    before: Told | None
    after: Told

    @property
    def differs(self) -> tuple[str, ...]:
        """What came out otherwise: ``state``, ``code``, or an amount's name.  A record's split was another person's: of it
        only the total counts."""
        other = self.before or self.message.told
        names = sorted({*other.amounts, *self.after.amounts}) if self.before else ["total_fen"]
        told_both = other.state == self.after.state and self.after.amounts
        wrong = [name for name in names if told_both and other.amounts.get(name) != self.after.amounts.get(name)]
        heads = [name for name in ("state", "code") if getattr(other, name) != getattr(self.after, name)]
        return (*heads, *wrong)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Everything that came of one."""

    wanted: Wanted
    rows: Sequence[Row]
    skipped: Mapping[str, str]

    @property
    def different(self) -> list[Row]:
        return [row for row in self.rows if row.differs]


async def rehearsed(config: Config, wanted: Wanted, clock: Clock) -> Rehearsal:
    """Raises: ConfigError for a gateway or institution that isn't configured, or a production gateway as test centre."""
    institution = _institution(config, wanted)
    if wanted.gateway not in config.settings.every_gateway:
        known = ", ".join(config.settings.every_gateway)
        raise ConfigError(f"no gateway {wanted.gateway}; there are {known}")
    _refuse_real_centre(config, wanted)
    async with adapter(config, read_only=True) as running:
        day = await recorded_day(running, institution.fixmedins_code, wanted.day, World(clock, 1).people)
    over_new = [wanted.gateway] * len(day.messages)
    after = await _played(config, institution, day, over_new, wanted)
    before: list[Told | None] = [None] * len(day.messages)
    if not wanted.against:
        ways = [one.way for one in day.messages]
        before = [*await _played(config, institution, day, ways, wanted)]
    rows = [Row(*both) for both in zip(day.messages, before, after, strict=True)]
    return Rehearsal(wanted, rows, day.skipped)


def _refuse_real_centre(config: Config, wanted: Wanted) -> None:
    """Nobody rehearses before the centre that a production site settles at."""
    real = [urlsplit(one.url).netloc for one in config.settings.every_gateway.values()]
    if config.settings.environment == "production" and urlsplit(wanted.against).netloc in real:
        raise ConfigError("a rehearsal before a production gateway", message_zh="演练不能送到正式环境的网关地址")


def _institution(config: Config, wanted: Wanted) -> Institution:
    known = {one.fixmedins_code: one for one in config.settings.every_institution}
    if not wanted.institution and len(known) == 1:
        return next(iter(known.values()))
    if wanted.institution not in known:
        raise ConfigError(f"name one of the institutions {', '.join(known)}")
    return known[wanted.institution]


async def _played(
    config: Config, institution: Institution, day: Day, ways: Sequence[str], wanted: Wanted
) -> list[Told]:
    """What each message is told.  ways: the gateway of each.  One life of an adapter for each gateway, each on a new ledger; a
    refund goes where its settlement went."""
    told: dict[int, Told] = {}
    for way in dict.fromkeys(ways):
        numbers = [number for number, one in enumerate(ways) if one == way]
        if way not in config.settings.every_gateway:
            told.update(dict.fromkeys(numbers, Told("REFUSED", "GATEWAY_GONE")))
            continue
        async with AsyncExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="his-adapter-rehearsal-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            gateway = config.settings.every_gateway[way]
            url = wanted.against
            if not url:
                centre = await stack.enter_async_context(_simulated(config, institution, gateway))
                own = wanted.path if wanted.path is not None and way == wanted.gateway else urlsplit(gateway.url).path
                url = centre.url + own
            site = scratch_config(config, institution, gateway, url, folder)
            running = await stack.enter_async_context(adapter(site))
            for number in numbers:
                told[number] = await _said(running, day.messages[number])
    return [told[number] for number in range(len(ways))]


def _simulated(config: Config, institution: Institution, gateway: GatewaySettings) -> Simulator:
    """A simulated centre that takes this gateway's own keys, and whose people are filed for care in the institution's province."""
    loaded = plugins(config.settings.plugins)
    dialects = {
        name: loaded.dialect(name, config.settings.dialect_options.get(name, {})) for name in loaded.dialect_names()
    }
    centre = Simulator(dialects=dialects, keys=_keys(config.secrets(gateway)))
    for person in centre.world.people:
        person.filings.append(Filing("long_stay", institution.admdvs[:2], "2020-01-01"))
    return centre


def _keys(secrets: Mapping[str, Secret]) -> Keys:
    """The doors' keys: each family calls its own by these names."""
    pairs: dict[str, Any] = {}
    for door, account, secret in (("csb", "ak", "sk"), ("tif", "paasid", "token"), ("xca", "key", "secret")):
        if account in secrets and secret in secrets:
            pairs[door] = {secrets[account].reveal(): secrets[secret]}
    if "apikey" in secrets:
        pairs["apikey"] = secrets["apikey"]
    return Keys(**pairs)


def scratch_config(
    config: Config, institution: Institution, gateway: GatewaySettings, url: str, folder: Path
) -> Config:
    """The site with this one gateway before a test centre, and everything it writes in ``folder``.

    Made of the settings as they are read: no environment variable leads it back to the real ledger.
    """
    secret_files = {name: config.path(path) for name, path in gateway.secret_files.items()}
    elsewhere = {"url": url, "plain_http": REASON, "secret_files": secret_files}
    settings = config.settings.model_copy(
        update={
            "environment": "test",
            "institution": institution.model_copy(update={"gateway": None}),
            "institutions": [],
            "gateway": gateway.model_copy(update=elsewhere),
            "gateways": {},
            "routes": [],
            "cutovers": [],
            "ledger": LedgerSettings(),
            "papers": PapersSettings(),  # type: ignore[call-arg]
            "notices_file": None,
            "openings_file": None,
        }
    )
    return Config(settings, folder)


async def _said(running: Adapter, message: Recorded) -> Told:
    operation = message.operation
    try:
        dialect = running.dialect(operation.dialect)
    except ConfigError:
        dialect = running.dialect("national")
    try:
        outcome = await running.pipeline.handle(running.place, dialect, operation, PATIENCE_S)
    except AdapterError as error:
        return Told("REFUSED", error.code)
    return _as_told(outcome)


def _as_told(outcome: Outcome) -> Told:
    result = outcome.content.get("result") or {}
    known = amounts(result).as_fen() if "medfee_sumamt" in result else {}
    return Told(outcome.state, outcome.code, known)
