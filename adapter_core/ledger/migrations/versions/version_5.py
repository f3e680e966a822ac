"""Version 5: each line of the accounts says by which gateway it went; older lines say nothing until their day is reconciled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"
works_with = 3
"""An older program writes its lines without it."""


def upgrade() -> None:
    op.add_column("entries", sa.Column("way", sa.Text, nullable=False, server_default=sa.text("''")))
