"""What the last rehearsals came to, in a file beside the configuration: for the console, and for whoever asks before a cut-over.

Work orders, states and codes only: nothing of any person.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapter_core.config import Config
from adapter_core.operations.rehearsal import Rehearsal

NAME = "rehearsals.json"
KEPT = 10
LISTED = 20
"""Of one rehearsal's different messages."""


def keep(config: Config, came: Rehearsal, at: str) -> None:
    """Note a rehearsal, the newest first.  at: RFC 3339 UTC."""
    path = _path(config)
    noted = [_note(came, at), *kept(config)][:KEPT]
    new = path.with_name(f"{NAME}.new")
    new.write_text(json.dumps(noted, ensure_ascii=False, indent=1) + "\n", "utf-8")
    os.replace(new, path)


def kept(config: Config) -> list[dict[str, Any]]:
    """The last ones, newest first; a file that can't be read is none: it proves nothing that can't be rehearsed again."""
    try:
        noted = json.loads(_path(config).read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [one for one in noted if isinstance(one, dict)] if isinstance(noted, list) else []


def _note(came: Rehearsal, at: str) -> Mapping[str, Any]:
    wanted = came.wanted
    return {
        "at": at,
        "day": wanted.day.isoformat(),
        "institution": wanted.institution,
        "gateway": wanted.gateway,
        "against": "test centre" if wanted.against else "simulated",
        "messages": len(came.rows),
        "skipped": len(came.skipped),
        "different": len(came.different),
        "rows": [
            {
                "work_order": row.message.number,
                "differs": list(row.differs),
                "after": f"{row.after.state} {row.after.code}",
            }
            for row in came.different[:LISTED]
        ],
    }


def _path(config: Config) -> Path:
    return config.folder / NAME
