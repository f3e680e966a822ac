"""``eligibility``: will direct settlement work for this person, and if not why and what to do; through the service where one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.cli.app import EXIT
from adapter_core.cli.remote import Service, listens
from adapter_core.cli.showing import print_json
from adapter_core.config import Config, load_config
from adapter_core.formats.json import read_json
from adapter_core.province.national_dialect import NationalDialect
from adapter_core.sidecar.eligibility import PATH, answer_data, lines_zh, read_enquiry
from adapter_core.sidecar.told import encode
from adapter_core.values.errors import Fault, TranslationError


async def ask(config: Path, file: Path, as_json: bool) -> int:
    """One question from a file, the same body as the service takes.  Nothing is registered."""
    question = read_json(file.read_bytes())
    if not isinstance(question, dict):
        raise TranslationError([Fault("$", "a JSON object", type(question).__name__)])
    body = await _answered(load_config(config), question)
    if as_json:
        print_json(body)
    else:
        print("\n".join(lines_zh(body)))
    return EXIT["done"]


async def _answered(site: Config, question: dict[str, Any]) -> dict[str, Any]:
    if listens(site):
        async with Service(site) as service:
            told = read_json(await service.order(PATH, question))
    else:
        enquiry = read_enquiry(question, NationalDialect())
        async with adapter(site) as running:
            told = read_json(encode(answer_data(await running.pipeline.enquiring.ask(running.place, enquiry))))
    assert isinstance(told, dict)
    return told
