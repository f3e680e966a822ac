"""Version 3: the accounts: one entry for each booked settlement and refund, and the items that live with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_entries()
    _create_items()


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("ordinal", BIG, primary_key=True),
        sa.Column("entry_id", sa.Text, nullable=False, unique=True),
        *_texts("org", "case_id", "entry", "business_day", "setl_time", "booked_at", "setl_id", "msgid", "kind"),
        *_counts("total_fen", "fund_fen", "account_fen", "acct_pay_fen", "cash_fen"),
        sa.Column("stands", sa.Boolean, nullable=False),
        *_texts("original_setl_id", "mdtrt_id", "insutype", "clr_type", "clr_way", "clr_optins", "med_type"),
        *_texts("insuplc_admdvs", "scheme", "operator", "terminal"),
        *_counts("version"),
    )
    op.create_index("entries_of_day", "entries", ["org", "business_day"])
    op.create_index("entries_of_msgid", "entries", ["org", "msgid"])
    op.create_index("entries_of_setl_id", "entries", ["org", "setl_id"])
    op.create_index("entries_of_visit", "entries", ["org", "mdtrt_id"])
    op.create_index("entries_of_case", "entries", ["case_id"])


def _create_items() -> None:
    op.create_table(
        "account_items",
        sa.Column("ordinal", BIG, primary_key=True),
        sa.Column("item_id", sa.Text, nullable=False, unique=True),
        *_texts("org", "topic", "subject", "day", "state", "case_id"),
        sa.Column("amount_fen", sa.BigInteger),
        *_texts("due_at", "opened_at", "changed_at"),
        *_counts("version"),
        sa.Column("key_id", sa.BigInteger, sa.ForeignKey("data_keys.key_id"), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("account_items_of_topic", "account_items", ["org", "topic", "state"])
    op.create_index("account_items_of_day", "account_items", ["org", "topic", "day"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
