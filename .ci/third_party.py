"""Writes ``docs/reference/third-party.md``: every package and file of others that a hospital installs, its version, licence and
reason.

    .venv/bin/python .ci/third_party.py [--check]

What is installed and at which version comes from ``requirements.lock``, the licence from the package's own metadata; only the
reasons and what metadata does not say stand here.  Files the console serves come from their own list.  Exit codes: 0, 1 stale or incomplete, 2 wrong arguments.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PAGE = ROOT / "docs" / "reference" / "third-party.md"
VENDORED = "adapter_core/sidecar/console/static/vendored.toml"

REASONS = {
    "alembic": "migrations of the ledger's schema",
    "cn2an": "amounts in Chinese capitals on receipts and papers",
    "copier": "a new plugin from the template",
    "croniter": "when due work (reconciliation, anchors) comes next",
    "cryptography": "SM3, SM4, sealing of personal data in the ledger, TLS",
    "gmssl-pyx": "SM2, where a province signs with it",
    "httptools": "strict HTTP/1.1 parsing of what a centre answers, on our own transport",
    "httpx": "HTTP client towards the centres",
    "hypothesis": "the plugin contract's laws, tried on any input",
    "jinja2": "the console's pages",
    "litestar": "the HTTP service: routes, OpenAPI",
    "lxml": "XML and XSD, with entities, DTD and network off",
    "msgspec": "JSON of national messages with exact decimals",
    "pluggy": "hooks through which province plugins register",
    "opentelemetry-exporter-otlp-proto-http": "traces sent to a hospital's collector",
    "opentelemetry-sdk": "traces: what a settlement waited for",
    "prometheus-client": "metrics a hospital's monitoring reads",
    "psycopg": "a ledger on PostgreSQL",
    "pydantic-settings": "configuration from TOML and environment",
    "pylopdf-fonts-zh-cn": "the Chinese fonts of papers",
    "pytest": "a plugin's contract, run as tests",
    "python-calamine": "Excel tables read",
    "rich": "tables and progress in the terminal",
    "segno": "the QR code on papers",
    "sqlalchemy": "the ledger's SQL for SQLite and PostgreSQL",
    "structlog": "one JSON line per step in the log",
    "tenacity": "bounded repeats of reading calls",
    "typer": "the command line",
    "typst": "papers and receipts as PDF",
    "tzdata": "China's time zone on Windows",
    "uvicorn": "the HTTP server below the service",
    "uvloop": "the event loop where the system has it",
    "xlsxwriter": "Excel tables written",
    "zeep": "SOAP envelopes of centres that speak SOAP",
}

PAGE_TEXT = """\
# Third-party packages

Made by `python .ci/third_party.py` from `requirements.lock` and the packages' own metadata: do not edit.
Tools used only for development are not listed, since no hospital installs them.

## Chosen by the adapter

| package | accepted | locked | licence | why |
|---|---|---|---|---|
{chosen}

## Chosen for an extra

Installed by `pip install "his-adapter[EXTRA]"` only.  `kit` is for who writes a plugin: no hospital's service needs it.

| extra | package | accepted | locked | licence | why |
|---|---|---|---|---|---|
{extras}

## Brought along by those

| package | locked | licence | brought by |
|---|---|---|---|
{brought}

## Files of others within the adapter

Served by the console, unchanged; from `{vendored_list}`, their licences lie beside it.

| file | package | version | licence |
|---|---|---|---|
{vendored}
"""

# Read in the package's own licence file: its metadata is silent, vague, or only installed on another platform.
LICENCES_READ = {
    "colorama": "BSD-3-Clause",
    "funcy": "BSD-3-Clause",
    "isodate": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "jinja2-ansible-filters": "GPL-3.0-or-later",
    "pathspec": "MPL-2.0",
    "prompt-toolkit": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "pylopdf-fonts-zh-cn": "OFL-1.1",
    "rich-click": "MIT",
    "segno": "BSD-3-Clause",
}

SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
}


@dataclass(frozen=True)
class Pin:
    """One entry of the lock: a package at a version, and which packages brought it."""

    name: str
    version: str
    brought_by: tuple[str, ...]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: third_party.py [--check]\n")
        return 2
    try:
        page = third_party_page().encode()
    except LookupError as gap:
        sys.stderr.write(f"{gap.args[0]}\n")
        return 1
    if not arguments:
        PAGE.write_bytes(page)
        return 0
    if PAGE.exists() and PAGE.read_bytes().replace(b"\r\n", b"\n") == page:
        return 0
    sys.stderr.write(f"{PAGE.name} is stale: run python .ci/third_party.py\n")
    return 1


def third_party_page() -> str:
    """The whole page.  Raises: LookupError: a package without a reason, a licence or a pin."""
    pins = {pin.name: pin for pin in read_lock(LOCK.read_text("utf-8"))}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = declared_ranges(project["dependencies"])
    extras = {name: declared_ranges(wanted) for name, wanted in project["optional-dependencies"].items()}
    chosen = {name for ranges in (needed, *extras.values()) for name in ranges}
    if missing := sorted(chosen - pins.keys()):
        raise LookupError(f"not in {LOCK.name}: {', '.join(missing)}; run make lock")

    def row(name: str, accepted: str) -> str:
        return f"{name} | `{accepted}` | {pins[name].version} | {licence(name)} | {reason(name)} |"

    brought = [
        f"| {pin.name} | {pin.version} | {licence(pin.name)} | {', '.join(by)} |"
        for pin, by in brought_along(pins, chosen)
    ]
    vendored = tomllib.loads((ROOT / VENDORED).read_text("utf-8"))["vendored"]
    return PAGE_TEXT.format(
        chosen="\n".join("| " + row(name, needed[name]) for name in sorted(needed)),
        extras="\n".join(
            f"| `{extra}` | " + row(name, ranges[name]) for extra, ranges in extras.items() for name in sorted(ranges)
        ),
        brought="\n".join(brought),
        vendored="\n".join(
            f"| {one['file']} | {one['package']} | {one['version']} | {one['licence']} |" for one in vendored
        ),
        vendored_list=VENDORED,
    )


def read_lock(text: str) -> Iterator[Pin]:
    for entry in re.split(r"\n(?=[a-z])", text):
        head = re.match(r"([a-z0-9-]+)==(\S+)", entry)
        if head is None:
            raise LookupError(f"{LOCK.name}: no exact version in {entry.splitlines()[0]!r}")
        brought_by = re.findall(r"^    #(?: via)? +(\S.*)$", entry, re.MULTILINE)
        yield Pin(head[1], head[2], tuple(brought_by))


def declared_ranges(requirements: list[str]) -> dict[str, str]:
    """Name to accepted versions, e.g. ``{"lxml": ">=5.3"}``."""
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[^]]*\])?([^;\n]*)", "\n".join(requirements), re.MULTILINE))


def brought_along(pins: dict[str, Pin], chosen: set[str]) -> Iterator[tuple[Pin, list[str]]]:
    """What the chosen packages need in turn; a development tool that needs it too is not named."""
    installed = set(chosen)
    while grown := {pin.name for pin in pins.values() if installed & set(pin.brought_by)} - installed:
        installed |= grown
    for name in sorted(installed - chosen):
        yield pins[name], [by for by in pins[name].brought_by if by in installed]


def licence(name: str) -> str:
    """The SPDX expression.  Raises: LookupError when neither metadata nor our own table says it."""
    if name in LICENCES_READ:
        return LICENCES_READ[name]
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise LookupError(f"{name} is not installed here: add its licence to LICENCES_READ") from None
    classifiers = [
        line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    for candidate in (said["License-Expression"], said["License"], *classifiers):
        found = SPDX.get(candidate, candidate) if candidate else ""
        if found and re.fullmatch(r"[\w.+-]+(?: (?:OR|AND|WITH) [\w.+-]+)*", found):
            return found
    raise LookupError(f"{name} does not name its licence clearly: read it and add it to LICENCES_READ")


def reason(name: str) -> str:
    if name not in REASONS:
        raise LookupError(f"{name} has no reason in .ci/third_party.py: why does a hospital install it?")
    return REASONS[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
