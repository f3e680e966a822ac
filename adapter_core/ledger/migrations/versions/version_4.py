"""Version 4: the index that lists, counts and searches go along: it holds all they ask of a case, so no sealed row is read."""

from __future__ import annotations

from alembic import op

revision = "4"
down_revision = "3"
works_with = 3
"""An older program passes over an index."""


def upgrade() -> None:
    op.create_index(
        "cases_by_opening",
        "cases",
        ["org", "opened_at", "ordinal", "purpose", "state", "insuplc_admdvs", "total_fen"],
    )
