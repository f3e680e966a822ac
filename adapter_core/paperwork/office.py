"""The office: opens, reprints, changes and ends paper cases, and makes their sheets.  One per institution."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter_core.paperwork import rendering
from adapter_core.paperwork.dossier import House, Wish, dossier, sealed_content, wish_from
from adapter_core.paperwork.handing_over import batch_sheet
from adapter_core.paperwork.hold_slips import hold_slip
from adapter_core.paperwork.receipts import receipt
from adapter_core.paperwork.seals import PublicKey, SealKey, read_line, sealed_line
from adapter_core.paperwork.verifying import Verified, verified
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.settlement.absorb import content_hash
from adapter_core.settlement.papers import (
    BATCHED,
    CLOSED,
    REVISED,
    REVOKED,
    SUBMITTED,
    TRIES,
    Papers,
    Visit,
    closed,
    refuse_unopenable,
    revoked,
    submitted,
)
from adapter_core.settlement.place import Place
from adapter_core.settlement.ports import Conflict, Ledger
from adapter_core.settlement.records import Case, Change, Event
from adapter_core.settlement.states import PAPER, State
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, Refused
from adapter_core.values.moments import national_time

PRINTED, RECEIPT = "PAPER_PRINTED", "RECEIPT_PRINTED"


@dataclass(frozen=True, slots=True)
class PaperSet:
    """A set as it was journalled.  is_new: made just now, else shown again."""

    case: Case
    document: Mapping[str, Any]
    is_new: bool = False

    @property
    def serial(self) -> str:
        return str(self.document["serial"])

    @property
    def facts(self) -> dict[str, Any]:
        """What an answer says of it, without the person."""
        names = ("serial", "version", "hash", "position", "total", "issued_at", "sealed_line")
        return {
            **{name: self.document[name] for name in names},
            "state": str(self.case.state),
            "visit_key": self.case.visit_key,
            "case_id": self.case.case_id,
            "is_new": self.is_new,
        }

    def pdf(self) -> bytes:
        """Always the same bytes for the same set.  Takes a moment: beside the event loop."""
        return rendering.pdf("paper_set", self._printable())

    def pictures(self, pixels_per_inch: float = 72.0) -> list[bytes]:
        return rendering.pictures("paper_set", self._printable(), pixels_per_inch)

    def machine_readable(self) -> bytes:
        """The same data as JSON, to go beside the PDF."""
        return (json.dumps(self.document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()

    def _printable(self) -> dict[str, Any]:
        return {**self.document, "qr": rendering.qr_picture(self.document["sealed_line"])}


@dataclass(frozen=True, slots=True)
class OfficeRules:
    """What a site says of its papers.  basis: the rule a direct settlement rests on, printed on receipts; chronic_notice: text
    of the 告知书 for chronic-disease patients."""

    basis: str = ""
    chronic_notice: str = ""


class PaperOffice:
    """papers: the states and their writes.  key: the institution's own, asked for when a set is sealed.
    upload: brings a visit's details to the place of care's centre where they stay there unsettled; None where they don't.
    """

    def __init__(
        self,
        papers: Papers,
        ledger: Ledger,
        place: Place,
        house: House,
        key: Callable[[], SealKey],
        rules: OfficeRules,
        upload: Callable[[Visit], Awaitable[bool]] | None = None,
    ) -> None:
        self._papers = papers
        self._ledger = ledger
        self._place = place
        self.house = house
        self._key = key
        self._rules = rules
        self._upload = upload

    @property
    def public_key(self) -> PublicKey:
        return self._key().public

    # -- opening

    async def open(
        self, visit_key: str, wish: Wish | None = None, message: tuple[Dialect, Operation] | None = None
    ) -> PaperSet:
        """Papers for a visit: new ones, the standing ones again, or a new version where ``wish`` or ``message`` says other than
        they do.

        message: the visit in the HIS's own words, where it was never tried or its fees changed.  Raises: Refused NO_SUCH_VISIT,
        USE_VOID, USE_CANCEL, VISIT_HELD, NO_FEES, PAPER_SUBMITTED …; TranslationError.
        """
        rendering.refuse_unready()
        self._key()
        for _ in range(TRIES):
            try:
                return await self._open(visit_key, wish, message)
            except Conflict:
                continue  # somebody else wrote first: a settlement, or the same papers
        raise Refused("too many writers", code="VISIT_HELD", message_zh="该就诊正在处理中，请稍后重试")

    async def _open(self, visit_key: str, wish: Wish | None, message: tuple[Dialect, Operation] | None) -> PaperSet:
        change: Change | None = None
        if message is None:
            visit = await self._visit(visit_key)
        else:
            visit, change = await self._papers.admitted(self._place, *message)
        holder = visit.holder
        if holder is not None and holder.state in PAPER:
            return await self._again(holder, wish, change)
        refuse_unopenable(visit)
        wish = await self._uploaded(visit, wish or Wish()) if change is None else wish or Wish()
        await self._content(visit, {}, wish)  # whatever is wrong with it is found before the visit is held
        case, position = await self._papers.hold(visit, wish.data(), change)
        return await self._make(case, wish, position)

    async def _again(self, case: Case, wish: Wish | None, change: Change | None) -> PaperSet:
        paper = case.data["paper"]
        asked = wish_from(paper["wish"])
        wanted = replace(wish, uploaded=asked.uploaded) if wish is not None else asked
        if paper["version"] and wanted == asked and change is None:
            return PaperSet(case, await self._papers.document(case, int(paper["version"])))
        if case.state is not State.MANUAL_OPEN:
            raise Refused(
                f"state {case.state}", code="PAPER_SUBMITTED", message_zh="材料已交参保地经办机构，不能再更改"
            )
        if paper["version"] and change is not None and wanted == asked and await self._says_the_same(case, change):
            return PaperSet(case, await self._papers.document(case, int(paper["version"])))
        position = await self._papers.note(case, REVISED, {"serial": paper["serial"], "wish": wanted.data()}, change)
        return await self._make(case, wanted, position)

    async def _says_the_same(self, case: Case, change: Change) -> bool:
        visit = await self._papers.visit_of(case)
        assert change.encounter is not None
        changed = replace(visit, encounter=change.encounter, bill=change.bills[0])
        paper = case.data["paper"]
        content = await self._content(changed, paper, wish_from(paper["wish"]))
        return bool(content_hash(content) == paper["content_hash"])

    async def _make(self, case: Case, wish: Wish, position: int) -> PaperSet:
        """A set from what the hold froze, journalled before anybody sees it."""
        visit = await self._papers.visit_of(case)
        paper = case.data["paper"]
        content = await self._content(visit, paper, wish)
        same = content_hash(content)
        if same == paper.get("content_hash"):
            return PaperSet(case, await self._papers.document(case, int(paper["version"])))
        version = int(paper["version"]) + 1
        named = sealed_content(content, paper["serial"], version, position, national_time(self._papers.moment()))
        line = sealed_line(self._key(), case.org, paper["serial"], version, named["hash"], named["total"])
        document = {**named, "sealed_line": line}
        told_zh = f"已出具手工报销材料（编号 {paper['serial']}，版本 {version}），请打印交患者"
        kept = await self._papers.keep_set(
            case,
            document,
            told_zh,
            version=version,
            content_hash=same,
            hash=named["hash"],
            position=position,
            total=named["total"],
            wish=wish.data(),
        )
        return PaperSet(kept, document, is_new=True)

    async def _content(self, visit: Visit, paper: Mapping[str, Any], wish: Wish) -> dict[str, Any]:
        told: list[tuple[Case, Sequence[Event]]] = []
        for case in visit.cases:
            if case.data.get("intent") != "paper":
                told.append((case, await self._ledger.events_of_case(case.case_id)))
        return dossier(self.house, visit, paper, wish, told)

    async def _uploaded(self, visit: Visit, wish: Wish) -> Wish:
        """Details go to the place of care's centre also where settlement failed, if it keeps them for the home region."""
        if self._upload is None or not visit.bill.is_open:
            return wish
        try:
            return replace(wish, uploaded=await self._upload(visit))
        except AdapterError:
            return replace(wish, uploaded=False)

    async def _visit(self, visit_key: str) -> Visit:
        visit = await self._papers.visit(self.house.org, visit_key)
        if visit is None:
            raise Refused(
                f"no visit {visit_key[:64]}", code="NO_SUCH_VISIT", message_zh=f"账本中没有就诊单 {visit_key[:64]}"
            )
        return visit

    # -- showing again

    async def case(self, serial: str) -> Case:
        """The case whose papers have this serial.  Raises: Refused NO_SUCH_PAPER."""
        return await self._papers.by_serial(self.house.org, serial)

    async def show(self, serial: str, version: int | None = None) -> PaperSet:
        """A set by its serial: the newest version, or an older one, which is void.  Raises: Refused NO_SUCH_PAPER."""
        case = await self._papers.by_serial(self.house.org, serial)
        newest = int(case.data["paper"]["version"])
        return PaperSet(case, await self._papers.document(case, version or newest))

    async def reprint(self, serial: str, version: int | None = None) -> PaperSet:
        """A set once more, same serial and same bytes; the journal notes it.  Revoked ones are looked at by their version only.

        Raises: Refused PAPER_REVOKED, NO_SUCH_PAPER.
        """
        found = await self.show(serial, version)
        if version is None and found.case.state is State.MANUAL_REVOKED:
            raise Refused("revoked", code="PAPER_REVOKED", message_zh=f"材料 {serial} 已撤销作废，不能补打")
        await self._papers.note(found.case, PRINTED, {"serial": serial, "version": str(found.document["version"])})
        return found

    async def verify(self, text: str, public_key: PublicKey | None = None) -> Verified:
        """Whether a set still counts: by its scanned line, or by its serial alone.  Raises: Refused NOT_A_SEAL."""
        key = public_key or self.public_key
        line = read_line(text) if "|" in text else None
        serial = line.serial if line else text.strip()
        try:
            case = await self._papers.by_serial(self.house.org, serial)
            document = await self._papers.document(case, line.version) if line else None
        except Refused:
            return verified(serial, line, key, None, None)
        return verified(serial, line, key, case, document)

    # -- ending

    async def revoke(self, serial: str, red_invoice: str, reason: str, withdrawal: str = "") -> Case:
        """Papers and self-pay invoice taken back: the serial is void, the visit free.  Raises: Refused."""
        case = await self._papers.by_serial(self.house.org, serial)
        facts = {"red_invoice": red_invoice, "reason": reason, "withdrawal": withdrawal}
        return await self._papers.step(
            case, REVOKED, lambda fresh, at: revoked(fresh, red_invoice, reason, withdrawal, at), facts
        )

    async def submit(self, serial: str, to: str = "") -> Case:
        """Handed in at the agency.  Raises: Refused."""
        case = await self._papers.by_serial(self.house.org, serial)
        return await self._papers.step(case, SUBMITTED, lambda fresh, at: submitted(fresh, to, at), {"to": to})

    async def close(self, serial: str, result: str = "") -> Case:
        """The agency has decided.  Raises: Refused."""
        case = await self._papers.by_serial(self.house.org, serial)
        return await self._papers.step(case, CLOSED, lambda fresh, at: closed(fresh, result, at), {"result": result})

    # -- several people of one employer

    async def batch(self, serials: Sequence[str], employer: str, handed_to: str) -> dict[str, Any]:
        """One hand-over sheet for several people's papers; gives what the sheet says.  Raises: Refused."""
        wanted = list(dict.fromkeys(serials))
        if not wanted or not employer.strip():
            raise Refused("no serials or employer", code="BATCH_EMPTY", message_zh="请填写单位名称和材料编号")
        batch = self._papers.batch_number(self.house.org)
        facts = {"employer": employer, "handed_to": handed_to, "at": national_time(self._papers.moment())}
        for _ in range(TRIES):
            cases = [await self._papers.by_serial(self.house.org, serial) for serial in wanted]
            try:
                await self._papers.keep_batch(cases, batch, facts)
            except Conflict:
                continue
            return await self.batch_again(batch)
        raise Refused("too many writers", code="VISIT_HELD", message_zh="材料正在处理中，请稍后重试")

    async def batch_again(self, batch: str) -> dict[str, Any]:
        """A hand-over sheet as it was made.  Raises: Refused NO_SUCH_BATCH."""
        cases = await self._papers.by_batch(self.house.org, batch)
        sets = [(case, await self._papers.document(case, int(case.data["paper"]["batched_version"]))) for case in cases]
        return batch_sheet(self.house, batch, sets)

    # -- what is no paper case

    async def slip(self, visit_key: str) -> dict[str, Any]:
        """The hold slip of a visit whose settlement is not decided.  Raises: Refused NOT_HELD, NO_SUCH_VISIT."""
        visit = await self._visit(visit_key)
        made = hold_slip(self.house, visit, national_time(self._papers.moment()))
        assert visit.holder is not None
        await self._papers.note(visit.holder, PRINTED, {"form": "hold_slip"})
        return made

    async def receipt(self, case: Case, paper: str = "a4") -> dict[str, Any]:
        """The receipt of a settled case, counted: every one after the first is a reprint.  Raises: Refused NOT_SETTLED."""

        def printed(fresh: Case, at: str) -> Case:
            self._receipt_refusal(fresh)
            return replace(
                fresh,
                version=fresh.version + 1,
                data={**fresh.data, "receipts": int(fresh.data.get("receipts", 0)) + 1},
            )

        after = await self._papers.step(case, RECEIPT, printed, {"form": paper})
        encounter = await self._ledger.encounter(after.encounter_id)
        bill = await self._ledger.bill(after.bill_id)
        assert encounter is not None and bill is not None
        made = receipt(
            self.house,
            after,
            encounter,
            bill,
            int(after.data["receipts"]),
            national_time(self._papers.moment()),
            self._rules.basis,
            self._rules.chronic_notice,
        )
        return {**made, "paper": "a5" if paper == "a5" else "a4"}

    @staticmethod
    def _receipt_refusal(case: Case) -> None:
        if case.purpose != "settle" or case.state is not State.SETTLED:
            raise Refused(f"state {case.state}", code="NOT_SETTLED", message_zh="只有已结算成功的业务可以打印结算单")


__all__ = ["BATCHED", "OfficeRules", "PaperOffice", "PaperSet"]
