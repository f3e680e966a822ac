"""The console's users and their sessions, in a small SQLite file beside the ledger that only its owner reads.

The file holds no patient's data.  What is done to users is noted in it in the same transaction, and handed over to the ledger's
journal by the service (`Staff.handed_over`): a command may add a user while the service holds the ledger.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from adapter_core.config import Role
from adapter_core.values.copies import replace
from adapter_core.values.errors import ConfigError, Refused
from adapter_core.values.moments import Clock, iso

FAILURES_MAX = 5
LOCKED_S = 900
"""So many wrong passwords in a row lock a user out for so long."""
SEEN_EVERY_S = 30
"""A session's last use is written at most that often."""
NAME_MAX = 32
SEPARATE = frozenset({"operator", "auditor", "admin"})
"""Roles that are never one person's (等保三级)."""
ROLES: tuple[Role, ...] = ("cashier", "operator", "auditor", "admin")
"""What a person may be: ``his`` is for machines."""

_TABLES = """
CREATE TABLE IF NOT EXISTS users (
  name TEXT PRIMARY KEY, title TEXT NOT NULL, roles TEXT NOT NULL, password TEXT NOT NULL, must_change INTEGER NOT NULL,
  is_off INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, locked_until INTEGER NOT NULL DEFAULT 0,
  changed_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  digest BLOB PRIMARY KEY, name TEXT NOT NULL, csrf TEXT NOT NULL, begun INTEGER NOT NULL, seen INTEGER NOT NULL,
  address TEXT NOT NULL, flash TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS deeds (
  ordinal INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, deed TEXT NOT NULL, about TEXT NOT NULL);
"""
_USER = "SELECT name, title, roles, password, must_change, is_off, failures, locked_until, changed_at FROM users "


@dataclass(frozen=True, slots=True)
class User:
    """title: the person's own name, as it stands in the journal.  locked_until, changed_at: unix seconds."""

    name: str
    title: str
    roles: frozenset[str]
    password: str
    must_change: bool = True
    is_off: bool = False
    failures: int = 0
    locked_until: int = 0
    changed_at: int = 0


class Session(NamedTuple):
    """One sign-in of a user at one browser.  begun, seen: unix seconds; flash: what the next page says first."""

    digest: bytes
    name: str
    csrf: str
    begun: int
    seen: int
    address: str
    flash: str


class Deed(NamedTuple):
    """Something done to a user, or by one at the door."""

    ordinal: int
    at: str
    who: str
    deed: str
    about: str


class Staff:
    """idle_s, life_s: how long a session lives unused, and at all.  Belongs to one thread; end with `close`."""

    def __init__(self, path: Path, clock: Clock, idle_s: float = 900.0, life_s: float = 43_200.0) -> None:
        """Opens the file, or makes it.  Raises: ConfigError."""
        self._clock = clock
        self._idle_s = idle_s
        self._life_s = life_s
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._file = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"the console's users {path.name}: {error}") from error

    def close(self) -> None:
        self._file.close()

    # -- users

    def user(self, name: str) -> User | None:
        row = self._file.execute(f"{_USER}WHERE name = ?", (name,)).fetchone()
        return _user(row) if row else None

    def users(self) -> list[User]:
        return [_user(row) for row in self._file.execute(f"{_USER}ORDER BY name")]

    @property
    def is_empty(self) -> bool:
        return self._file.execute("SELECT 1 FROM users").fetchone() is None

    def add(self, name: str, title: str, roles: Iterable[str], password: str, by: str) -> User:
        """password: already hashed; its owner must choose another at the first sign-in.  Raises: Refused."""
        wanted = frozenset(roles)
        refuse_bad_name(name)
        refuse_mixed(wanted)
        made = User(name, title.strip() or name, wanted, password, changed_at=self._now())
        with self._transaction(by, "USER_ADDED", f"{name}: {' '.join(sorted(wanted))}"):
            if self.user(name) is not None:
                raise Refused(f"{name} exists", code="USER_EXISTS", message_zh=f"用户 {name} 已存在")
            self._put(made)
        return made

    def give_roles(self, name: str, roles: Iterable[str], by: str) -> None:
        """Raises: Refused."""
        wanted = frozenset(roles)
        refuse_mixed(wanted)
        with self._transaction(by, "USER_ROLES", f"{name}: {' '.join(sorted(wanted))}"):
            self._put(replace(self._known(name), roles=wanted))
            self._refuse_adminless()
            self._end_sessions(name)

    def set_password(self, name: str, password: str, by: str, must_change: bool) -> None:
        """password: already hashed.  Every session of the user ends.  Raises: Refused."""
        with self._transaction(by, "USER_PASSWORD", name):
            user = self._known(name)
            self._put(
                replace(
                    user,
                    password=password,
                    must_change=must_change,
                    failures=0,
                    locked_until=0,
                    changed_at=self._now(),
                )
            )
            self._end_sessions(name)

    def switch(self, name: str, off: bool, by: str) -> None:
        """Raises: Refused."""
        with self._transaction(by, "USER_OFF" if off else "USER_ON", name):
            self._put(replace(self._known(name), is_off=off, failures=0, locked_until=0))
            self._refuse_adminless()
            self._end_sessions(name)

    # -- the door

    def is_locked(self, user: User) -> bool:
        return self._now() < user.locked_until

    def failed(self, name: str, address: str) -> None:
        """A wrong password; the fifth in a row locks the user out for a while."""
        user = self.user(name)
        if user is None:
            self._note("", "SIGN_IN_FAILED", address)
            return
        failures = user.failures + 1
        locks = failures >= FAILURES_MAX
        after = replace(
            user,
            failures=0 if locks else failures,
            locked_until=self._now() + LOCKED_S if locks else user.locked_until,
        )
        with self._transaction(name, "SIGN_IN_LOCKED" if locks else "SIGN_IN_FAILED", address):
            self._put(after)

    def signed_in(self, user: User, address: str) -> str:
        """A new session; gives the token for its cookie."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        with self._transaction(user.name, "SIGNED_IN", address):
            self._put(replace(user, failures=0, locked_until=0))
            self._file.execute("DELETE FROM sessions WHERE begun < ?", (now - int(self._life_s),))
            row = (_digest(token), user.name, secrets.token_urlsafe(24), now, now, address)
            self._file.execute(
                "INSERT INTO sessions (digest, name, csrf, begun, seen, address) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        return token

    def session(self, token: str, uses: bool = True) -> tuple[Session, User] | None:
        """The session of a cookie and its user; None when it is over.  uses: this visit counts as one."""
        row = self._file.execute(
            "SELECT digest, name, csrf, begun, seen, address, flash FROM sessions WHERE digest = ?", (_digest(token),)
        ).fetchone()
        if row is None:
            return None
        session = Session(*row)
        now = self._now()
        user = self.user(session.name)
        is_over = now - session.seen > self._idle_s or now - session.begun > self._life_s
        if user is None or user.is_off or is_over:
            self._file.execute("DELETE FROM sessions WHERE digest = ?", (session.digest,))
            return None
        if uses and now - session.seen >= min(SEEN_EVERY_S, self._idle_s / 4):
            self._file.execute("UPDATE sessions SET seen = ? WHERE digest = ?", (now, session.digest))
        return session, user

    def signed_out(self, session: Session) -> None:
        with self._transaction(session.name, "SIGNED_OUT", session.address):
            self._file.execute("DELETE FROM sessions WHERE digest = ?", (session.digest,))

    def flash(self, session: Session, text: str) -> None:
        """What the next page of this session says first; "" takes it away."""
        self._file.execute("UPDATE sessions SET flash = ? WHERE digest = ?", (text, session.digest))

    # -- for the journal

    def deeds(self) -> list[Deed]:
        """What the journal does not have yet, oldest first."""
        return [Deed(*row) for row in self._file.execute("SELECT ordinal, at, who, deed, about FROM deeds ORDER BY 1")]

    def handed_over(self, last: int) -> None:
        """The journal has all up to this ordinal."""
        self._file.execute("DELETE FROM deeds WHERE ordinal <= ?", (last,))

    # -- small

    def _now(self) -> int:
        return int(self._clock.wall().timestamp())

    def _known(self, name: str) -> User:
        user = self.user(name)
        if user is None:
            raise Refused(f"no user {name}", code="NO_SUCH_USER", message_zh=f"没有用户 {name}")
        return user

    def _put(self, user: User) -> None:
        self._file.execute(
            "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                user.name,
                user.title,
                " ".join(sorted(user.roles)),
                user.password,
                user.must_change,
                user.is_off,
                user.failures,
                user.locked_until,
                user.changed_at,
            ),
        )

    def _end_sessions(self, name: str) -> None:
        self._file.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def _refuse_adminless(self) -> None:
        if not any("admin" in user.roles and not user.is_off for user in self.users()):
            raise Refused("the last administrator", code="LAST_ADMIN", message_zh="至少须保留一名可用的管理员")

    def _note(self, who: str, deed: str, about: str) -> None:
        at = iso(self._clock.wall())
        self._file.execute("INSERT INTO deeds (at, who, deed, about) VALUES (?, ?, ?, ?)", (at, who, deed, about))

    @contextmanager
    def _transaction(self, who: str, deed: str, about: str) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._note(who, deed, about)
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")


def refuse_bad_name(name: str) -> None:
    """Raises: Refused."""
    if not name or len(name) > NAME_MAX or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise Refused("bad name", code="BAD_NAME", message_zh="用户名须为字母、数字、汉字，可含 . - _，至多 32 个字符")


def refuse_mixed(roles: frozenset[str]) -> None:
    """Raises: Refused for no role, one that no person has, or two that are never one person's."""
    if not roles or not roles <= set(ROLES):
        raise Refused("unknown role", code="BAD_ROLE", message_zh=f"角色须为 {'、'.join(ROLES)} 之一")
    if len(roles & SEPARATE) > 1:
        raise Refused(
            "separate roles", code="ROLES_SEPARATE", message_zh="操作员、审计员、管理员须为不同的人，不能兼任"
        )


def _user(row: tuple[str, str, str, str, int, int, int, int, int]) -> User:
    name, title, roles, password, must_change, is_off, failures, locked_until, changed_at = row
    return User(
        name,
        title,
        frozenset(roles.split()),
        password,
        bool(must_change),
        bool(is_off),
        failures,
        locked_until,
        changed_at,
    )


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
