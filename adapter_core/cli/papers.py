"""``paper …``: manual-reimbursement papers, their check, hand-over sheets, hold slips, and the receipts of settled visits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_core.bootstrap import Adapter, adapter
from adapter_core.cli.app import EXIT
from adapter_core.cli.playing import find_case
from adapter_core.cli.showing import STATE_ZH, print_json
from adapter_core.config import Config, load_config
from adapter_core.paperwork import rendering
from adapter_core.paperwork.dossier import Wish
from adapter_core.paperwork.office import PaperSet
from adapter_core.paperwork.receipts import FORMS, dot_matrix
from adapter_core.paperwork.seals import read_line, read_public_key
from adapter_core.paperwork.verifying import Verified, verified_offline
from adapter_core.province.dialect import Dialect
from adapter_core.province.messages import Operation
from adapter_core.values.errors import Fault, Refused, TranslationError

FOLDER = "papers"
"""Beside the configuration, unless another one is named."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of the papers wanted.  message: a file of the HIS's own, for a visit that was never tried."""

    reason: str = ""
    situations: tuple[str, ...] = ()
    region: str = ""
    message: Path | None = None
    dialect: str = "national"

    @property
    def wish(self) -> Wish | None:
        """None where nothing is said: the standing papers are shown again then."""
        said = Wish(self.reason, self.situations, self.region)
        return said if said != Wish() else None


async def open_papers(config: Path, key: str, asked: Asked, out: Path | None, as_json: bool) -> int:
    loaded = load_config(config)
    async with adapter(loaded) as running:
        message = _message(running, asked)
        visit_key = await _visit_key(running, key) if message is None else (message[1].keys.get("visit") or key)
        try:
            made = await running.office().open(visit_key, asked.wish, message)
        except Refused as refusal:
            if refusal.code != "VISIT_HELD":
                raise
            print(f"{refusal.message_zh}：his-adapter paper slip {key}")
            return EXIT["pending"]
        files = await save_set(made, _folder(loaded, out))
    return _shown(made, files, as_json)


async def show_papers(config: Path, serial: str, out: Path | None, as_json: bool) -> int:
    """With a folder the set is printed again, which the journal notes; without one it is only looked at."""
    loaded = load_config(config)
    async with adapter(loaded, read_only=out is None) as running:
        office = running.office()
        found = await (office.reprint(serial) if out else office.show(serial))
        files = await save_set(found, out) if out else []
    return _shown(found, files, as_json)


async def revoke_papers(
    config: Path, serial: str, red_invoice: str, reason: str, withdrawal: str, as_json: bool
) -> int:
    async with adapter(load_config(config)) as running:
        case = await running.office().revoke(serial, red_invoice, reason, withdrawal)
    return _stepped(serial, str(case.state), as_json)


async def submit_papers(config: Path, serial: str, to: str, as_json: bool) -> int:
    async with adapter(load_config(config)) as running:
        case = await running.office().submit(serial, to)
    return _stepped(serial, str(case.state), as_json)


async def close_papers(config: Path, serial: str, result: str, as_json: bool) -> int:
    async with adapter(load_config(config)) as running:
        case = await running.office().close(serial, result)
    return _stepped(serial, str(case.state), as_json)


async def verify_papers(config: Path, text: str, public_key: Path | None, as_json: bool) -> int:
    """With a public key: the signature alone, anywhere.  Without: what this hospital's ledger says, too."""
    if public_key is not None:
        return _verified(verified_offline(read_line(text), read_public_key(public_key.read_text("ascii"))), as_json)
    async with adapter(load_config(config), read_only=True) as running:
        return _verified(await running.office().verify(text), as_json)


async def batch_papers(
    config: Path, serials: Sequence[str], employer: str, handed_to: str, out: Path | None, as_json: bool
) -> int:
    loaded = load_config(config)
    async with adapter(loaded) as running:
        sheet = await running.office().batch(serials, employer, handed_to)
    path = await _save(
        await asyncio.to_thread(rendering.pdf, "batch", sheet), _folder(loaded, out), f"{sheet['batch']}.pdf"
    )
    if as_json:
        print_json({**sheet, "files": [str(path)]})
    else:
        print(f"交接单 {sheet['batch']}：{len(sheet['rows'])} 份，合计 {sheet['total']} 元\n{path}")
    return 0


async def hold_slip(config: Path, key: str, out: Path | None) -> int:
    loaded = load_config(config)
    async with adapter(loaded) as running:
        slip = await running.office().slip(await _visit_key(running, key))
    pdf = await asyncio.to_thread(rendering.pdf, "hold_slip", slip)
    print(await _save(pdf, _folder(loaded, out), f"{slip['work_order']}.pdf"))
    return 0


async def print_receipt(config: Path, key: str, form: str, out: Path | None) -> int:
    if form not in FORMS:
        raise TranslationError([Fault("--paper", " | ".join(FORMS), form)])
    loaded = load_config(config)
    async with adapter(loaded) as running:
        made = await running.office().receipt(await find_case(running, key), form)
    name = f"{made['setl_id']}-{made['copy']}"
    if form == "241":
        # what a dot-matrix printer of a Chinese hospital reads
        path = await _save(dot_matrix(made).encode("gb18030"), _folder(loaded, out), f"{name}.txt")
    else:
        path = await _save(await asyncio.to_thread(rendering.pdf, "receipt", made), _folder(loaded, out), f"{name}.pdf")
    print(path)
    return 0


# -- small


async def save_set(made: PaperSet, folder: Path) -> list[Path]:
    """The PDF and the same data as JSON beside it."""
    name = f"{made.serial}-v{made.document['version']}"
    pdf = await asyncio.to_thread(made.pdf)
    return [
        await _save(pdf, folder, f"{name}.pdf"),
        await _save(made.machine_readable(), folder, f"{name}.json"),
    ]


async def _save(content: bytes, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def _folder(config: Config, out: Path | None) -> Path:
    return out or config.folder / FOLDER


async def _visit_key(running: Adapter, key: str) -> str:
    """A visit by its own key, or by that of a settlement of it."""
    try:
        return (await find_case(running, key)).visit_key
    except Refused:
        return key


def _message(running: Adapter, asked: Asked) -> tuple[Dialect, Operation] | None:
    if asked.message is None:
        return None
    dialect = running.dialect(asked.dialect)
    return dialect, dialect.decode_request(dialect.read_frame_file(asked.message.read_bytes(), asked.message.name))


def _shown(made: PaperSet, files: Sequence[Path], as_json: bool) -> int:
    if as_json:
        print_json({**made.facts, "why": made.document["why"], "files": [str(path) for path in files]})
        return 0
    document = made.document
    print(
        f"{STATE_ZH.get(made.case.state, made.case.state)}：编号 {made.serial}，版本 {document['version']}，"
        f"参保地 {document['insured']['region']}，{document['visit']['case_type_zh']}，合计 {document['total']} 元"
    )
    why = document["why"]
    print(
        f"原因：{why['heading']}。{why['patient_zh']}{'（中心原文：' + why['centre_text'] + '）' if why['centre_text'] else ''}"
    )
    for path in files:
        print(path)
    return 0


def _stepped(serial: str, state: str, as_json: bool) -> int:
    if as_json:
        print_json({"serial": serial, "state": state})
    else:
        print(f"{serial}：{STATE_ZH.get(state, state)}")
    return 0


def _verified(found: Verified, as_json: bool) -> int:
    good = found.counts or found.verdict == "SIGNED"
    if as_json:
        print_json(
            {
                "verdict": found.verdict,
                "message_zh": found.message_zh,
                "serial": found.serial,
                "version": found.version,
                "total": found.total,
                "is_signed": found.is_signed,
            }
        )
    else:
        print(found.message_zh + (f"（版本 {found.version}，{found.total} 元）" if found.total else ""))
    return EXIT["done"] if good else EXIT["rejected"]
