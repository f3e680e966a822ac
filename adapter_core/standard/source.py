"""Where the project's own data lies: inside an installed wheel, or beside ``adapter_core`` in a checkout."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
INSTALLED = PACKAGE / "_schemas"
CHECKOUT = PACKAGE.parent / "schemas"


@cache
def schema_root() -> Path:
    """The folder that holds ``national/`` and ``his/``.  Raises: FileNotFoundError when neither place has it."""
    # A path and not importlib.resources: that import alone costs more than reading a whole transaction.
    for root in (INSTALLED, CHECKOUT):
        if (root / "national").is_dir():
            return root
    raise FileNotFoundError(f"no schemas in {INSTALLED} or {CHECKOUT}: the installation is incomplete")


def schema_file(*parts: str) -> Path:
    """The path of one data file, e.g. ``schema_file("national", "transactions", "2207.json")``; it may not exist."""
    return schema_root().joinpath(*parts)


def load_json(*parts: str) -> Any:
    """One JSON data file, parsed.  Raises: OSError, ValueError: a damaged installation."""
    return json.loads(schema_file(*parts).read_bytes())
