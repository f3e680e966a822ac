"""The door for people: sign in, sign out, choose a password, the first administrator, the language."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from datetime import timedelta
from pathlib import Path

from litestar import Response, get, post

from adapter_core.sidecar.console import passwords
from adapter_core.sidecar.console.counter import (
    HOME,
    Asked,
    Counter,
    Visitor,
    counter_of,
    page,
    posted,
    see,
    text_of,
)
from adapter_core.sidecar.console.gate import (
    INSTITUTION,
    INSTITUTION_COOKIE,
    LANGUAGE,
    PASSWORD,
    SET_UP,
    SIGN_IN,
    SIGN_OUT,
    cookie,
    is_secure,
)
from adapter_core.sidecar.console.staff import User
from adapter_core.values.copies import replace
from adapter_core.values.errors import AdapterError, LedgerUnavailable, Refused

CODE_FILE = "console-setup.code"
WRONG = "用户名或密码不正确，或该用户已锁定、已停用"
AT_ONCE = asyncio.Semaphore(2)
"""Password checks under way at once: each takes 32 MB."""


@get(SIGN_IN)
async def sign_in_page(request: Asked) -> Response[bytes]:
    if counter_of(request).staff.is_empty:
        return see(SET_UP)
    return page(request, "sign_in.html", next=_inside(request.query_params.get("next", "")), wrong="")


@post(SIGN_IN)
async def sign_in(request: Asked) -> Response[bytes]:
    """The same answer, after the same time, whichever part was wrong."""
    counter, form = counter_of(request), posted(request)
    address = (request.scope.get("client") or ("",))[0]
    name, password = text_of(form, "name", 64), str(form.get("password", ""))
    try:
        counter.kept["rates"].take(address)
        user = await _proved(counter, name, password)
    except AdapterError as error:
        code = 429 if error.code == "TOO_MANY_REQUESTS" else 403
        wrong = error.message_zh if code == 429 else WRONG
        if code == 403:
            counter.staff.failed(name, address)
            await _handed_over(counter)
        return page(request, "sign_in.html", code, next=_inside(text_of(form, "next")), wrong=wrong)
    if _is_old(counter, user):
        user = replace(user, must_change=True)
    token = counter.staff.signed_in(user, address)
    await _handed_over(counter)
    answer = see(_inside(text_of(form, "next")) or HOME)
    answer.headers["Set-Cookie"] = cookie(token, is_secure(request))
    return answer


@post(SIGN_OUT)
async def sign_out(request: Asked) -> Response[bytes]:
    counter = counter_of(request)
    found: Visitor = request.scope["state"]["visitor"]
    counter.staff.signed_out(found.session)
    await _handed_over(counter)
    answer = see(SIGN_IN)
    answer.headers["Set-Cookie"] = cookie("", is_secure(request))
    return answer


@get(PASSWORD)
async def password_page(request: Asked) -> Response[bytes]:
    return page(request, "password.html", wrong="")


@post(PASSWORD)
async def change_password(request: Asked) -> Response[bytes]:
    """One's own; every session of the user ends, this one too."""
    counter, form = counter_of(request), posted(request)
    found: Visitor = request.scope["state"]["visitor"]
    old, new = str(form.get("old", "")), str(form.get("new", ""))
    wrong = passwords.weakness(new, found.user.name) or ("两次输入的新密码不一致" if new != form.get("again") else "")
    if not wrong and new == old:
        wrong = "新密码不能与原密码相同"
    if not wrong:
        try:
            await _proved(counter, found.user.name, old)
        except AdapterError:
            counter.staff.failed(found.user.name, found.session.address)
            wrong = "原密码不正确"
    if wrong:
        return page(request, "password.html", 422, wrong=wrong)
    counter.staff.set_password(found.user.name, await hashed(new), found.user.name, must_change=False)
    await _handed_over(counter)
    answer = see(SIGN_IN)
    answer.headers["Set-Cookie"] = cookie("", is_secure(request))
    return answer


@get(SET_UP)
async def set_up_page(request: Asked) -> Response[bytes]:
    counter = counter_of(request)
    if not counter.staff.is_empty:
        return see(HOME)
    return page(request, "set_up.html", wrong="", file=str(setup_code_file(counter)))


@post(SET_UP)
async def set_up(request: Asked) -> Response[bytes]:
    """The first administrator, by the code in a file that only this machine's owner reads."""
    counter, form = counter_of(request), posted(request)
    if not counter.staff.is_empty:
        return see(HOME)
    file = setup_code_file(counter)
    name, password = text_of(form, "name", 64), str(form.get("password", ""))
    try:
        counter.kept["rates"].take("set-up")
        if not hmac.compare_digest(text_of(form, "code").encode(), file.read_text("ascii").strip().encode()):
            raise Refused("wrong code", code="BAD_CODE", message_zh="初始化码不正确")
        weak = passwords.weakness(password, name) or ("两次输入的密码不一致" if password != form.get("again") else "")
        if weak:
            raise Refused("weak", code="WEAK_PASSWORD", message_zh=weak)
        counter.staff.add(name, text_of(form, "title", 64), ["admin"], await hashed(password), "set-up")
    except AdapterError as error:
        return page(request, "set_up.html", 422, wrong=error.message_zh, file=str(file))
    user = counter.staff.user(name)
    assert user is not None
    counter.staff.set_password(name, user.password, "set-up", must_change=False)
    file.unlink(missing_ok=True)
    await _handed_over(counter)
    return see(f"{SIGN_IN}?next={HOME}/wizard")


@post(LANGUAGE)
async def choose_language(request: Asked) -> Response[bytes]:
    form = posted(request)
    answer = see(_inside(text_of(form, "back")) or HOME)
    language = "en" if text_of(form, "language") == "en" else "zh"
    answer.headers["Set-Cookie"] = (
        f"console_lang={language}; Path=/console; SameSite=Strict; Max-Age=31536000; HttpOnly"
    )
    return answer


@post(INSTITUTION)
async def choose_institution(request: Asked) -> Response[bytes]:
    """Whose lists are shown, where this service serves several."""
    form = posted(request)
    wanted = counter_of(request).desk.running.place_named(text_of(form, "institution", 30))
    answer = see(HOME)
    answer.headers["Set-Cookie"] = f"{INSTITUTION_COOKIE}={wanted.org}; Path=/console; SameSite=Strict; HttpOnly"
    return answer


async def _proved(counter: Counter, name: str, password: str) -> User:
    """Raises: Refused."""
    user = counter.staff.user(name)
    async with AT_ONCE:
        fits = await asyncio.to_thread(passwords.fits, password, user.password if user else "")
    user = counter.staff.user(name)  # as it is now: others may have tried meanwhile
    if user is None or not fits or user.is_off or counter.staff.is_locked(user):
        raise Refused("no such user, or another password", code="SIGN_IN_FAILED", message_zh=WRONG)
    return user


async def hashed(password: str) -> str:
    async with AT_ONCE:
        return await asyncio.to_thread(passwords.hashed, password)


def setup_code_file(counter: Counter) -> Path:
    return counter.config.master_key_path.with_name(CODE_FILE)


def lay_setup_code(counter: Counter) -> None:
    """At start, while there is no user: the code for the first administrator, readable by the owner only."""
    file = setup_code_file(counter)
    if counter.staff.is_empty and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(secrets.token_hex(8) + "\n")


def _is_old(counter: Counter, user: User) -> bool:
    days = counter.config.settings.console.password_days
    return bool(days) and (counter.clock.wall().timestamp() - user.changed_at) > timedelta(days=days).total_seconds()


async def _handed_over(counter: Counter) -> None:
    """What can't be journalled now is handed over later: the users' file keeps it."""
    try:
        await counter.hand_over()
    except LedgerUnavailable:
        return


def _inside(path: str) -> str:
    """A path of the console, or "": nobody is led elsewhere."""
    return path if path.startswith(HOME) and "//" not in path and "\\" not in path else ""


ROUTES = [
    sign_in_page, sign_in, sign_out, password_page, change_password, set_up_page, set_up, choose_language, choose_institution,
]  # fmt: skip
