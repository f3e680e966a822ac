"""Version 1: the journal, its projections and what seals them.

Spelled out, not taken from `schema`: that one moves on, a revision never changes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _create_foundation()
    _create_journal()
    _create_encounters_and_bills()
    _create_cases()
    _create_calls()
    _create_indexes_of_values()


def _create_foundation() -> None:
    op.create_table("meta", sa.Column("name", sa.Text, primary_key=True), *_texts("value"))
    op.create_table(
        "data_keys",
        sa.Column("key_id", BIG, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Text, nullable=False, unique=True),
        _blob("wrapped"),
    )
    op.create_table(
        "heads",
        sa.Column("org", sa.Text, primary_key=True),
        _count("seq"),
        _blob("hash"),
        _blob("seal"),
        _count("used_sequence"),
    )


def _create_journal() -> None:
    op.create_table(
        "journal",
        *_texts("org"),
        _count("seq"),
        *_texts("at", "kind", "case_id", "encounter_id"),
        *_sealed(),
        _blob("hash"),
        sa.PrimaryKeyConstraint("org", "seq"),
    )
    op.create_index("journal_of_case", "journal", ["case_id", "seq"])
    if op.get_context().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER journal_no_{action.lower()} BEFORE {action} ON journal "
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_journal_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$"
    )
    # A statement trigger: it also refuses a change that would meet no row.
    op.execute(
        "CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change()"
    )


def _create_encounters_and_bills() -> None:
    op.create_table(
        "encounters",
        _ordinal(),
        _id("encounter_id"),
        *_texts("org", "encounter_key", "kind", "dialect"),
        _count("version"),
        *_texts("mdtrt_id"),
        *_sealed(),
        sa.UniqueConstraint("org", "encounter_key", name="encounter_key_once"),
    )
    op.create_table(
        "bills",
        _ordinal(),
        _id("bill_id"),
        *_texts("org", "encounter_id", "visit_key", "chrg_bchno"),
        _count("version"),
        _fact("is_open"),
        *_sealed(),
    )
    op.create_index("bills_of_encounter", "bills", ["encounter_id"])


def _create_cases() -> None:
    op.create_table(
        "cases",
        _ordinal(),
        _id("case_id"),
        *_texts("org", "purpose", "key", "visit_key", "encounter_id", "bill_id", "kind", "dialect", "state"),
        *_texts("request_hash"),
        _count("version"),
        _count("epoch"),
        *_texts("owner"),
        _fact("wanted"),
        *_texts("target_case_id", "setl_id", "insuplc_admdvs"),
        *(sa.Column(f"{share}_fen", sa.BigInteger) for share in ("total", "fund", "account", "cash")),
        *_texts("opened_at", "changed_at", "due_at"),
        _fact("holds_visit"),
        *_sealed(),
        sa.UniqueConstraint("org", "purpose", "key", name="case_key_once"),
    )
    held: Any = sa.text("holds_visit")
    op.create_index(
        "one_holder_of_visit",
        "cases",
        ["org", "visit_key"],
        unique=True,
        sqlite_where=held,
        postgresql_where=held,
    )
    op.create_index("cases_of_bill", "cases", ["bill_id"])
    op.create_index("cases_in_state", "cases", ["state"])


def _create_calls() -> None:
    op.create_table(
        "calls",
        _ordinal(),
        _id("call_id"),
        *_texts("org", "msgid", "step", "message", "kind_class", "case_id", "encounter_id", "bill_id"),
        *_texts("body_hash", "not_after", "result"),
        _fact("replied"),
        _fact("burnt"),
        _count("version"),
        sa.UniqueConstraint("org", "msgid", name="msgid_once"),
    )
    op.create_index("calls_of_case", "calls", ["case_id"])


def _create_indexes_of_values() -> None:
    op.create_table(
        "aliases",
        *_texts("org", "dialect", "kind"),
        _blob("blind"),
        *_texts("encounter_id", "bill_id", "case_id", "note"),
        sa.PrimaryKeyConstraint("org", "dialect", "kind", "blind"),
    )
    op.create_table(
        "search",
        _ordinal(),
        *_texts("kind"),
        _blob("blind"),
        *_texts("case_id"),
        sa.UniqueConstraint("kind", "blind", "case_id", name="search_once"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, unique=True)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _fact(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _ordinal() -> sa.Column[int]:
    return sa.Column("ordinal", BIG, primary_key=True)


def _sealed() -> tuple[sa.Column[int], sa.Column[bytes]]:
    return sa.Column("key_id", sa.BigInteger, sa.ForeignKey("data_keys.key_id"), nullable=False), _blob("sealed")
