"""The console's users: who they are, what they may do, and that they are let in again or not at all."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console import passwords
from adapter_core.sidecar.console.counter import HOME, Asked, counter_of, page, posted, see, text_of, visitor
from adapter_core.sidecar.console.signing_in import hashed
from adapter_core.sidecar.console.staff import ROLES
from adapter_core.values.errors import LedgerUnavailable, Refused

USERS = f"{HOME}/users"


@get(USERS)
async def users(request: Asked) -> Response[bytes]:
    visitor(request, Right.STAFF)
    return _page(request)


@post(USERS, status_code=200)
async def add_user(request: Asked) -> Response[bytes]:
    """With a first password, shown once on the page that answers."""
    who = visitor(request, Right.STAFF)
    counter, form = counter_of(request), posted(request)
    name, password = text_of(form, "name", 64), passwords.first_password()
    roles = [role for role in ROLES if form.get(f"role_{role}")]
    counter.staff.add(name, text_of(form, "title", 64), roles, await hashed(password), who.user.name)
    await _handed_over(request)
    return _page(request, name, password)


@post(f"{USERS}/{{name:str}}/roles")
async def change_roles(request: Asked, name: FromPath[str]) -> Response[bytes]:
    who = visitor(request, Right.STAFF)
    roles = [role for role in ROLES if posted(request).get(f"role_{role}")]
    counter_of(request).staff.give_roles(name, roles, who.user.name)
    await _handed_over(request)
    return see(USERS, request, f"{name}：角色已更改")


@post(f"{USERS}/{{name:str}}/password", status_code=200)
async def reset_password(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """A new first password; a locked user is let in again."""
    who = visitor(request, Right.STAFF)
    password = passwords.first_password()
    counter_of(request).staff.set_password(name, await hashed(password), who.user.name, must_change=True)
    await _handed_over(request)
    return _page(request, name, password)


@post(f"{USERS}/{{name:str}}/switch")
async def switch(request: Asked, name: FromPath[str]) -> Response[bytes]:
    """Off: every session ends at once.  On: also unlocks."""
    who = visitor(request, Right.STAFF)
    off = text_of(posted(request), "to", 4) == "off"
    if off and name == who.user.name:
        raise Refused("oneself", code="ONESELF", message_zh="不能停用自己")
    counter_of(request).staff.switch(name, off, who.user.name)
    await _handed_over(request)
    return see(USERS, request, f"{name}：{'已停用' if off else '已启用'}")


def _page(request: Asked, name: str = "", password: str = "") -> Response[bytes]:
    staff = counter_of(request).staff
    rows = [(user, staff.is_locked(user)) for user in staff.users()]
    return page(request, "users.html", rows=rows, roles=ROLES, made=name, password=password)


async def _handed_over(request: Asked) -> None:
    try:
        await counter_of(request).hand_over()
    except LedgerUnavailable:
        return


ROUTES = [users, add_user, change_roles, reset_password, switch]
