"""How a command asks the centre: through the service that holds the ledger, or here where none runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from adapter_core.bootstrap.assembly import adapter
from adapter_core.catalogues.asking import Ask
from adapter_core.cli.remote import Service, listens
from adapter_core.config import Config
from adapter_core.province.messages import Outcome
from adapter_core.sidecar.relays import relaying
from adapter_core.standard.transactions import transaction
from adapter_core.values.content import Content
from adapter_core.values.errors import Fault, TranslationError


@asynccontextmanager
async def asking(config: Config, insuplc_admdvs: str = "") -> AsyncIterator[Ask]:
    """A way to ask, open as long as the context."""
    if listens(config):
        async with Service(config) as service:

            async def through(infno: str, given: Content) -> Outcome:
                return await service.ask(infno, given, insuplc_admdvs, config.settings.catalogues.file_deadline)

            yield through
        return
    async with adapter(config) as running:
        yield relaying(running, running.place, insuplc_admdvs=insuplc_admdvs)


def pairs(given: Sequence[str]) -> dict[str, str]:
    """``field=value`` words.  Raises: TranslationError for any other."""
    faults = [Fault(f"--set {one[:40]}", "字段=值", "没有 =") for one in given if "=" not in one]
    if faults:
        raise TranslationError(faults)
    return {name.strip(): value for name, _, value in (one.partition("=") for one in given)}


def placed(infno: str, fields: dict[str, str]) -> Content:
    """Fields in the input node that has them.  Raises: TranslationError naming those that no node has."""
    nodes: dict[str, Any] = {}
    faults = []
    described = transaction(infno).input
    for name, value in fields.items():
        home = next((node for node in described if any(row.code == name for row in node.fields)), None)
        if home is None:
            faults.append(Fault(f"--set {name[:40]}", f"{infno} 的输入字段", "没有这个字段"))
        else:
            nodes.setdefault(home.name, {})[name] = value
    if faults:
        raise TranslationError(faults)
    return {
        node.name: [nodes[node.name]] if node.repeat else nodes[node.name] for node in described if node.name in nodes
    }
