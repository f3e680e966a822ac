"""``paper …``: manual-reimbursement papers, their check, hand-over sheets, hold slips, and the receipts of settled visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.cli.app import EXIT
from adapter_core.cli.paper_counter import Asked, Printed, PrintedFile, counter, office_that_issued
from adapter_core.cli.showing import STATE_ZH, print_json
from adapter_core.config import Config, load_config
from adapter_core.paperwork.receipts import FORMS
from adapter_core.paperwork.seals import read_line, read_public_key
from adapter_core.paperwork.verifying import Verified, verified_offline
from adapter_core.values.errors import Fault, Refused, TranslationError

FOLDER = "papers"
"""Beside the configuration, unless another one is named."""


async def open_papers(config: Path, key: str, asked: Asked, out: Path | None, as_json: bool) -> int:
    loaded = load_config(config)
    async with counter(loaded) as at:
        try:
            made = await at.open(key, asked)
        except Refused as refusal:
            if refusal.code != "VISIT_HELD":
                raise
            print(f"{refusal.message_zh}：his-adapter paper slip {key}")
            return EXIT["pending"]
    return _printed(made, save(made.files, _folder(loaded, out)), as_json)


async def show_papers(config: Path, serial: str, out: Path | None, as_json: bool) -> int:
    """With a folder the set is printed again, which the journal notes; without one it is only looked at."""
    loaded = load_config(config)
    if out is None:
        async with adapter(loaded, read_only=True) as running:
            found = await (await office_that_issued(running, serial)).show(serial)
        return _shown(found.facts, found.document, [], as_json)
    async with counter(loaded) as at:
        made = await at.reprint(serial)
    return _printed(made, save(made.files, out), as_json)


async def step_papers(config: Path, serial: str, what: str, order: Mapping[str, str], as_json: bool) -> int:
    """revoke, submit or close."""
    async with counter(load_config(config)) as at:
        state = await at.step(serial, what, order)
    if as_json:
        print_json({"serial": serial, "state": state})
    else:
        print(f"{serial}：{STATE_ZH.get(state, state)}")
    return 0


async def verify_papers(config: Path, text: str, public_key: Path | None, as_json: bool) -> int:
    """With a public key: the signature alone, anywhere.  Without: what this hospital's ledger says, too."""
    if public_key is not None:
        return _verified(verified_offline(read_line(text), read_public_key(public_key.read_text("ascii"))), as_json)
    async with adapter(load_config(config), read_only=True) as running:
        serial = read_line(text).serial if "|" in text else text.strip()
        return _verified(await (await office_that_issued(running, serial)).verify(text), as_json)


async def batch_papers(
    config: Path, serials: Sequence[str], employer: str, handed_to: str, out: Path | None, as_json: bool
) -> int:
    loaded = load_config(config)
    async with counter(loaded) as at:
        sheet, pdf = await at.batch(serials, employer, handed_to)
    [path] = save([(f"{sheet['batch']}.pdf", pdf)], _folder(loaded, out))
    if as_json:
        print_json({**sheet, "files": [str(path)]})
    else:
        print(f"交接单 {sheet['batch']}：{len(sheet['rows'])} 份，合计 {sheet['total']} 元\n{path}")
    return 0


async def hold_slip(config: Path, key: str, out: Path | None) -> int:
    loaded = load_config(config)
    async with counter(loaded) as at:
        slip = await at.slip(key)
    print(*save([slip], _folder(loaded, out)))
    return 0


async def print_receipt(config: Path, key: str, form: str, out: Path | None) -> int:
    if form not in FORMS:
        raise TranslationError([Fault("--paper", " | ".join(FORMS), form)])
    loaded = load_config(config)
    async with counter(loaded) as at:
        content = await at.receipt(key, form)
    name = f"{key}-{form}".replace("/", "_")
    if form == "241":
        # what a dot-matrix printer of a Chinese hospital reads
        file = (f"{name}.txt", content.decode().encode("gb18030"))
    else:
        file = (f"{name}.pdf", content)
    print(*save([file], _folder(loaded, out)))
    return 0


# -- small


def save(files: Sequence[PrintedFile], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files:
        (folder / name).write_bytes(content)
    return [folder / name for name, _ in files]


def _folder(config: Config, out: Path | None) -> Path:
    return out or config.folder / FOLDER


def _printed(made: Printed, paths: Sequence[Path], as_json: bool) -> int:
    return _shown(made.facts, made.document, paths, as_json)


def _shown(facts: Mapping[str, Any], document: Mapping[str, Any], paths: Sequence[Path], as_json: bool) -> int:
    if as_json:
        print_json({**facts, "why": document["why"], "files": [str(path) for path in paths]})
        return 0
    print(
        f"{STATE_ZH.get(facts['state'], facts['state'])}：编号 {document['serial']}，版本 {document['version']}，"
        f"参保地 {document['insured']['region']}，{document['visit']['case_type_zh']}，合计 {document['total']} 元"
    )
    why = document["why"]
    original = f"（中心原文：{why['centre_text']}）" if why["centre_text"] else ""
    print(f"原因：{why['heading']}。{why['patient_zh']}{original}")
    for path in paths:
        print(path)
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
