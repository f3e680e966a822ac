"""The ledger's tables, for SQLite and PostgreSQL: money is BIGINT fen, times are RFC 3339 text, sealed fields are one
blob.

``ordinal`` is the order of insertion ("oldest first"), given by the database.  ``key_id`` names the data key a blob
is sealed under.  What only one database can do (triggers, pragmas) lies with that database.
"""

from __future__ import annotations

import re

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _fact(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _fen(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=True)


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _ordinal() -> Column[int]:
    return Column("ordinal", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _sealed() -> tuple[Column[int], Column[bytes]]:
    return Column("key_id", BigInteger, ForeignKey("data_keys.key_id"), nullable=False), _blob("sealed")


meta = Table("meta", metadata, Column("name", Text, primary_key=True), _text("value"))

data_keys = Table(
    "data_keys",
    metadata,
    Column("key_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("day", Text, nullable=False, unique=True),
    _blob("wrapped"),
)

heads = Table(
    "heads",
    metadata,
    Column("org", Text, primary_key=True),
    _count("seq"),
    _blob("hash"),
    _blob("seal"),
    _count("used_sequence"),
)

journal = Table(
    "journal",
    metadata,
    _text("org"),
    _count("seq"),
    _text("at"),
    _text("kind"),
    _text("case_id"),
    _text("encounter_id"),
    *_sealed(),
    _blob("hash"),
    PrimaryKeyConstraint("org", "seq"),
    Index("journal_of_case", "case_id", "seq"),
)

encounters = Table(
    "encounters",
    metadata,
    _ordinal(),
    Column("encounter_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("encounter_key"),
    _text("kind"),
    _text("dialect"),
    _count("version"),
    _text("mdtrt_id"),
    *_sealed(),
    UniqueConstraint("org", "encounter_key", name="encounter_key_once"),
)

bills = Table(
    "bills",
    metadata,
    _ordinal(),
    Column("bill_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("encounter_id"),
    _text("visit_key"),
    _text("chrg_bchno"),
    _count("version"),
    _fact("is_open"),
    *_sealed(),
    Index("bills_of_encounter", "encounter_id"),
)

_HOLDS = text("holds_visit")

cases = Table(
    "cases",
    metadata,
    _ordinal(),
    Column("case_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("purpose"),
    _text("key"),
    _text("visit_key"),
    _text("encounter_id"),
    _text("bill_id"),
    _text("kind"),
    _text("dialect"),
    _text("state"),
    _text("request_hash"),
    _count("version"),
    _count("epoch"),
    _text("owner"),
    _fact("wanted"),
    _text("target_case_id"),
    _text("setl_id"),
    _text("insuplc_admdvs"),
    _fen("total_fen"),
    _fen("fund_fen"),
    _fen("account_fen"),
    _fen("cash_fen"),
    _text("opened_at"),
    _text("changed_at"),
    _text("due_at"),
    _fact("holds_visit"),
    *_sealed(),
    UniqueConstraint("org", "purpose", "key", name="case_key_once"),
    Index("one_holder_of_visit", "org", "visit_key", unique=True, sqlite_where=_HOLDS, postgresql_where=_HOLDS),
    Index("cases_of_bill", "bill_id"),
    Index("cases_in_state", "state"),
    Index("cases_by_opening", "org", "opened_at", "ordinal", "purpose", "state", "insuplc_admdvs", "total_fen"),
)

calls = Table(
    "calls",
    metadata,
    _ordinal(),
    Column("call_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("msgid"),
    _text("step"),
    _text("message"),
    _text("kind_class"),
    _text("case_id"),
    _text("encounter_id"),
    _text("bill_id"),
    _text("body_hash"),
    _text("not_after"),
    _text("result"),
    _fact("replied"),
    _fact("burnt"),
    _count("version"),
    UniqueConstraint("org", "msgid", name="msgid_once"),
    Index("calls_of_case", "case_id"),
)

aliases = Table(
    "aliases",
    metadata,
    _text("org"),
    _text("dialect"),
    _text("kind"),
    _blob("blind"),
    _text("encounter_id"),
    _text("bill_id"),
    _text("case_id"),
    _text("note"),
    PrimaryKeyConstraint("org", "dialect", "kind", "blind"),
)

search = Table(
    "search",
    metadata,
    _ordinal(),
    _text("kind"),
    _blob("blind"),
    _text("case_id"),
    UniqueConstraint("kind", "blind", "case_id", name="search_once"),
)

entries = Table(
    "entries",
    metadata,
    _ordinal(),
    Column("entry_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("case_id"),
    _text("entry"),
    _text("business_day"),
    _text("setl_time"),
    _text("booked_at"),
    _text("setl_id"),
    _text("msgid"),
    _text("kind"),
    _count("total_fen"),
    _count("fund_fen"),
    _count("account_fen"),
    _count("acct_pay_fen"),
    _count("cash_fen"),
    _fact("stands"),
    _text("original_setl_id"),
    _text("mdtrt_id"),
    _text("insutype"),
    _text("clr_type"),
    _text("clr_way"),
    _text("clr_optins"),
    _text("med_type"),
    _text("insuplc_admdvs"),
    _text("scheme"),
    _text("operator"),
    _text("terminal"),
    _count("version"),
    Column("way", Text, nullable=False, server_default=text("''")),
    Index("entries_of_day", "org", "business_day"),
    Index("entries_of_msgid", "org", "msgid"),
    Index("entries_of_setl_id", "org", "setl_id"),
    Index("entries_of_visit", "org", "mdtrt_id"),
    Index("entries_of_case", "case_id"),
)
"""The accounting projection, written in the transaction that books a settlement or a refund."""

account_items = Table(
    "account_items",
    metadata,
    _ordinal(),
    Column("item_id", Text, nullable=False, unique=True),
    _text("org"),
    _text("topic"),
    _text("subject"),
    _text("day"),
    _text("state"),
    _text("case_id"),
    _fen("amount_fen"),
    _text("due_at"),
    _text("opened_at"),
    _text("changed_at"),
    _count("version"),
    *_sealed(),
    Index("account_items_of_topic", "org", "topic", "state"),
    Index("account_items_of_day", "org", "topic", "day"),
)

nonces = Table(
    "nonces",
    metadata,
    _text("key_id"),
    _text("nonce"),
    _count("until"),
    PrimaryKeyConstraint("key_id", "nonce"),
    Index("nonces_by_end", "until"),
)
"""Nonces of signed calls, for replicas; ``until``: unix seconds.  SQLite's stays empty: one process keeps them in a file of its
own, without a sync for each call."""


def sqlite_statements() -> str:
    """The tables as SQLite's own text: what ``sqlite_schema.sql`` must hold."""
    from sqlalchemy.dialects import sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = sqlite.dialect()
    statements = []
    for table in metadata.sorted_tables:
        statements.append(CreateTable(table).compile(dialect=dialect))
        statements.extend(
            CreateIndex(index).compile(dialect=dialect)
            for index in sorted(table.indexes, key=lambda one: str(one.name))
        )
    return "".join(re.sub(r"[ \t]+\n", "\n", str(statement)).strip() + ";\n" for statement in statements)


if __name__ == "__main__":  # python -m adapter_core.ledger.schema > adapter_core/ledger/sqlite_schema.sql
    print(sqlite_statements(), end="")
