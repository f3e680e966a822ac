"""Who works beside the pipeline of a running adapter: the paper office and the accounts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.config import Config
from adapter_core.settlement.place import Place

if TYPE_CHECKING:
    from adapter_core.accounts.books import Books
    from adapter_core.accounts.office import AccountsOffice
    from adapter_core.accounts.reconciling import Reconciling, Report
    from adapter_core.accounts.rounds import Rounds
    from adapter_core.bootstrap.assembly import Adapter, OpenLedger
    from adapter_core.paperwork.office import PaperOffice
    from adapter_core.paperwork.seals import SealKey
    from adapter_core.settlement.late_filing import LateFilings
    from adapter_core.settlement.watch import Watch

PAPERS_KEY_BYTES_MAX = 1024


def paper_office(running: Adapter, place: Place) -> PaperOffice:
    """The office of one institution.  Its signing key is made when it is first needed."""
    from adapter_core.paperwork.dossier import House
    from adapter_core.paperwork.office import OfficeRules, PaperOffice
    from adapter_core.province.messages import Operation
    from adapter_core.province.national_dialect import NationalDialect
    from adapter_core.settlement.papers import Visit

    settings = running.config.settings
    notice_file = settings.papers.chronic_notice_file
    notice = running.config.path(notice_file).read_text("utf-8").strip() if notice_file else ""

    async def upload(visit: Visit) -> bool:
        if not place.of(visit.encounter).gateway.capabilities.details_stay:
            return False
        keys = {"encounter": visit.encounter.encounter_key, "visit": visit.visit_key}
        wanted = Operation("upload_fees", "upload_fees", "national", visit.encounter.kind, keys=keys)
        return (await running.pipeline.handle(place, NationalDialect(), wanted)).state == "DONE"

    return PaperOffice(
        running.pipeline.papers,
        running.kept or running.ledger,
        place,
        House(place.org, place.site.fixmedins_name, place.site.admdvs, settings.environment, settings.papers.phone),
        lambda: papers_key(running.config),
        OfficeRules(settings.papers.basis, notice),
        upload if any(one.gateway.capabilities.details_stay for one in place.every_way()) else None,
    )


def papers_key(config: Config) -> SealKey:
    """The key papers are sealed with, made on the first call; its public half lies beside it as ``….public``.

    Raises: ConfigError when others can read it, or it is no key.
    """
    from adapter_core.ledger.key_files import read_key_file
    from adapter_core.paperwork.seals import new_key, read_key

    path = config.path(config.settings.papers.signing_key_file)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = new_key()
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(made.text() + "\n")
        except FileExistsError:
            pass  # another process made it in the same moment
    key = read_key(read_key_file(path, PAPERS_KEY_BYTES_MAX).decode("ascii"))
    public = path.with_name(path.name + ".public")
    if not public.exists() or public.read_text("ascii") != key.public.text() + "\n":
        public.write_text(key.public.text() + "\n", "ascii")
    return key


def books_of(config: Config) -> Books:
    """The ledger as the accounts read it."""
    from adapter_core.accounts.books import PostgresBooks, SqliteBooks

    return PostgresBooks(config.settings.ledger.url) if config.is_shared else SqliteBooks(config.ledger_path)


def watch_of(config: Config, ledger: OpenLedger) -> Watch | None:
    """The site's watching rules that may block a settlement; None where none does.  Raises: ConfigError for faulty rules."""
    from adapter_core.accounts.blocking import Blocking, blocks
    from adapter_core.accounts.watching import read_rules

    file = config.settings.accounts.rules_file
    rules = read_rules(config.path(file)) if file else {}
    if not any(map(blocks, rules.values())):
        return None
    return Blocking(books_of(config), ledger, rules, SystemClock())


def reconciling_of(running: Adapter, place: Place) -> Reconciling:
    """Who reconciles an institution served here.  Raises: NotSupported where none of its ways out is a national gateway."""
    from adapter_core.accounts.centre_desk import CentreDesk
    from adapter_core.accounts.reconciling import Reconciling
    from adapter_core.accounts.statement_form import StatementForm
    from adapter_core.province.national import NationalGateway

    settings = running.config.settings.accounts
    plain = settings.statement.model_dump()

    def form(way: str) -> StatementForm:
        own = settings.statements.get(way)
        return StatementForm(**{**plain, **(own.model_dump(exclude_unset=True) if own else {})})

    def desk(at: Place) -> CentreDesk:
        return CentreDesk(running.pipeline, at, form(at.way))

    if not any(isinstance(one.gateway, NationalGateway) for one in place.every_way()):
        desk(place)
    return Reconciling(books_of(running.config), running.ledger, running.pipeline.from_files, desk, place, form)


def accounts_of(running: Adapter, place: Place) -> AccountsOffice:
    """The accounts of an institution served here.  Raises: ConfigError for faulty watching rules."""
    from adapter_core.accounts.centre_desk import CentreDesk
    from adapter_core.accounts.clearing import Clearing
    from adapter_core.accounts.office import AccountsOffice
    from adapter_core.accounts.statement_form import StatementForm
    from adapter_core.accounts.watching import read_rules
    from adapter_core.accounts.wrong_persons import WrongPersons

    settings = running.config.settings.accounts
    books, notes = books_of(running.config), running.pipeline.from_files

    def clearing() -> Clearing:
        desk = CentreDesk(running.pipeline, place, StatementForm())
        return Clearing(books, running.ledger, notes, desk, place)

    return AccountsOffice(
        place,
        books,
        running.ledger,
        notes,
        SystemClock(),
        lambda: reconciling_of(running, place),
        clearing,
        read_rules(running.config.path(settings.rules_file) if settings.rules_file else None),
        WrongPersons(running.pipeline, running.ledger, notes, place),
        settings.shifts,
        settings.prepaid_yuan * 100,
    )


def late_filings_of(running: Adapter) -> LateFilings:
    """The stays whose filing is missing."""
    from adapter_core.settlement.late_filing import LateFilings

    pipeline = running.pipeline
    return LateFilings(running.ledger, pipeline.enquiring, pipeline.from_files, SystemClock())


def rounds_of(running: Adapter, place: Place) -> Rounds:
    """The schedule of an institution's reconciliations.  Raises: as `reconciling_of`."""
    from adapter_core.accounts.rounds import Rounds, Times

    settings = running.config.settings.accounts
    times = Times(settings.evening, settings.morning)
    reconciling, office = reconciling_of(running, place), accounts_of(running, place)

    async def run(day: str, phase: str) -> Report:
        report = await reconciling.run(day, phase)
        if phase == "T+1":
            await office.do("watch", {"date": day})
            await office.do("remind", {})
        return report

    return Rounds(place.org, running.ledger, running.pipeline.from_files, run, SystemClock(), times)
