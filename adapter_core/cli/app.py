"""``his-adapter``: the command line.  Every command imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from adapter_core.operations.machine import speak_utf8
from adapter_core.values.errors import (
    AdapterError,
    ConfigError,
    ContractError,
    LedgerDamaged,
    LedgerUnavailable,
    NotSent,
    NotSupported,
    Refused,
    TranslationError,
)

EXIT = {"done": 0, "usage": 2, "bad_input": 3, "rejected": 4, "not_sent": 5, "pending": 6, "damaged": 7}
STATE_EXIT = {
    "DONE": 0, "QUOTED": 0, "SETTLED": 0, "VOIDED": 0, "CANCELLED": 5, "REJECTED": 4, "NOT_APPLIED": 4, "REVERSED": 4,
    "NOT_SENT": 5, "PENDING": 6, "VOIDING": 6, "FROZEN": 6, "MANUAL_OPEN": 5, "MANUAL_SUBMITTED": 5, "MANUAL_CLOSED": 5,
    "MANUAL_REVOKED": 5,
}  # fmt: skip

app = typer.Typer(
    help="跨省异地就医直接结算适配器 / settles medical insurance beside a HIS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its traceback would show local values
    rich_markup_mode="rich",
)


ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="配置文件 / configuration file", envvar="HIS_ADAPTER_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="输出 JSON / machine-readable output")]
DEFAULT_CONFIG = Path("his-adapter.toml")


def main() -> None:
    """Entry point: our own exceptions become one clear line and the exit codes of `contracts.md` §2."""
    speak_utf8()
    logging.basicConfig(
        level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s"
    )  # `doctor` shows the warnings
    try:
        app()
    except AdapterError as error:
        fail(error, "--json" in sys.argv)


def fail(error: AdapterError, as_json: bool) -> NoReturn:
    """Print an error for a person (or as JSON) and leave with its exit code."""
    from adapter_core.cli.showing import error_data, error_lines, print_json

    if as_json:
        print_json(error_data(error))
    else:
        for line in error_lines(error):
            print(line, file=sys.stderr)
    sys.exit(exit_code(error))


def exit_code(error: AdapterError) -> int:
    match error:
        case LedgerDamaged():
            return EXIT["damaged"]
        case TranslationError() | NotSupported() | Refused():
            return EXIT["bad_input"]
        case NotSent() | LedgerUnavailable():
            return EXIT["not_sent"]
        case ConfigError() | ContractError():
            return EXIT["usage"]
        case _:
            return EXIT["pending"]


def run(work: Coroutine[Any, Any, int]) -> NoReturn:
    sys.exit(asyncio.run(work))
