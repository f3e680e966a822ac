"""``user …``: the console's users, also while the service runs: what is done here is handed over to the journal by it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import load_config
from adapter_core.sidecar.console import passwords
from adapter_core.sidecar.console.staff import ROLES, Staff
from adapter_core.values.errors import Fault, TranslationError

BY = "command line"


@contextmanager
def _staff(config: Path) -> Iterator[Staff]:
    loaded = load_config(config)
    staff = Staff(loaded.path(loaded.settings.console.users_file), SystemClock())
    try:
        yield staff
    finally:
        staff.close()


def add_user(config: Path, name: str, roles: list[str], title: str, from_input: bool) -> int:
    """With a first password, printed once, or with one that is typed or comes on standard input; another is chosen at the first
    sign-in."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise TranslationError([Fault("--role", " | ".join(ROLES), role) for role in unknown])
    with _staff(config) as staff:
        password = _password(name, from_input)
        staff.add(name, title, roles, passwords.hashed(password), BY)
    print(f"已新增用户 {name}（{'、'.join(roles)}）")
    _tell(password, from_input)
    return 0


def reset_password(config: Path, name: str, from_input: bool) -> int:
    """A new first password; every session of the user ends, and a locked one is let in again."""
    with _staff(config) as staff:
        password = _password(name, from_input)
        staff.set_password(name, passwords.hashed(password), BY, must_change=True)
    print(f"已重置 {name} 的密码")
    _tell(password, from_input)
    return 0


def switch_user(config: Path, name: str, off: bool) -> int:
    with _staff(config) as staff:
        staff.switch(name, off, BY)
    print(f"{name}：{'已停用' if off else '已启用'}")
    return 0


def list_users(config: Path, as_json: bool) -> int:
    with _staff(config) as staff:
        rows = [(user.name, user.title, sorted(user.roles), _state(staff, user.name)) for user in staff.users()]
    if as_json:
        names = ("name", "title", "roles", "state")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(
            "控制台用户", ("用户名", "姓名", "角色", "状态"), [(*row[:2], "、".join(row[2]), row[3]) for row in rows]
        )
    return 0


def _state(staff: Staff, name: str) -> str:
    user = staff.user(name)
    assert user is not None
    if user.is_off:
        return "已停用"
    if staff.is_locked(user):
        return "已锁定"
    return "待改密码" if user.must_change else "正常"


def _password(name: str, from_input: bool) -> str:
    """Raises: TranslationError for a weak one."""
    if not from_input:
        return passwords.first_password()
    password = getpass.getpass("密码：") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    weak = passwords.weakness(password, name)
    if weak:
        raise TranslationError([Fault("password", weak, "")], message_zh=weak)
    return password


def _tell(password: str, from_input: bool) -> None:
    if not from_input:
        print(f"初始密码（只显示这一次，首次登录须更改）：{password}")
