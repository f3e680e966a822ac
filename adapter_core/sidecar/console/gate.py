"""Before the console's pages: who comes is known by the session's cookie, and no form counts without the session's own token.

Every path but the few in OPEN needs a session; every POST needs the page's own origin and the CSRF token.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from litestar import Response
from litestar.datastructures import FormMultiDict

from adapter_core.sidecar.access import Client, Forbidden
from adapter_core.sidecar.console.counter import HOME, Asked, Counter, Visitor, counter_of, see
from adapter_core.sidecar.limits import App, Message, Receive, Scope, Send

COOKIE = "console"
INSTITUTION_COOKIE = "console_institution"
STATIC = f"{HOME}/static/"
SIGN_IN, SET_UP, LANGUAGE, INSTITUTION, PASSWORD, SIGN_OUT = (
    f"{HOME}/{name}" for name in ("sign-in", "set-up", "language", "institution", "password", "sign-out")
)
OPEN = frozenset({SIGN_IN, SET_UP, LANGUAGE})
WHILE_CHANGING = frozenset({PASSWORD, SIGN_OUT, LANGUAGE})
"""What somebody may do who must choose a password first."""
LIVE = f"{HOME}/live/"
"""Parts of pages that refresh themselves: they keep no session alive."""
PARTS_MAX = 60

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class Gate:
    """app: gets ``visitor`` (None where nobody is signed in) in the scope's state.  The body stays for it to read."""

    def __init__(self, app: App, counter: Counter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        state["visitor"] = self._visitor(scope)
        await self._app(scope, receive, _with_headers(send, scope["path"].startswith(STATIC)))

    def _visitor(self, scope: Scope) -> Visitor | None:
        if scope["path"].startswith(STATIC):
            return None
        token = _cookie(scope, COOKIE)
        found = self._counter.staff.session(token, uses=not scope["path"].startswith(LIVE)) if token else None
        if found is None:
            return None
        session, user = found
        running = self._counter.desk.running
        institutions = frozenset(place.org for place in running.every_place)
        place = running.places(_cookie(scope, INSTITUTION_COOKIE)) or running.place
        return Visitor(user, session, Client(user.name, user.roles, institutions, "console"), place)


async def admitted(request: Asked) -> Response[bytes] | None:
    """Before each handler; an answer of its own turns the visitor away.  Raises: Forbidden for a form that isn't ours."""
    path = request.scope["path"]
    if path.startswith(STATIC):
        return None
    found: Visitor | None = request.scope["state"]["visitor"]
    if found is None and path not in OPEN:  # before a byte of the body is parsed
        return _to_sign_in(request)
    if request.method != "GET":
        await _check_form(request, found)
    if path in OPEN or found is None:
        return None
    if found.user.must_change and path not in WHILE_CHANGING:
        return see(PASSWORD)
    return None


def _to_sign_in(request: Asked) -> Response[bytes]:
    counter = counter_of(request)
    if counter.staff.is_empty:
        return see(SET_UP)
    path = request.scope["path"]
    wanted = path if request.method == "GET" and not path.startswith(LIVE) else HOME
    target = f"{SIGN_IN}?next={quote(wanted)}"
    if request.headers.get("hx-request"):
        return Response(b"", status_code=401, headers={"HX-Redirect": target})
    return Response(b"", status_code=303, headers={"Location": target})


async def _check_form(request: Asked, found: Visitor | None) -> None:
    """Raises: Forbidden."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Forbidden("from another site", code="FOREIGN_FORM")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden("from another site", code="FOREIGN_FORM")
    form = await request.form()
    if len(form) > PARTS_MAX:
        raise Forbidden("too many fields", code="FOREIGN_FORM")
    if found is not None:
        given = form.get("csrf", "")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), found.session.csrf.encode()):
            raise Forbidden("the form's token isn't this session's", code="FOREIGN_FORM")
    request.scope["state"]["form"] = FormMultiDict(form)


def cookie(token: str, secure: bool) -> str:
    """The header that keeps a session at the browser; "" takes it away."""
    parts = [f"{COOKIE}={token}", "Path=/console", "HttpOnly", "SameSite=Strict"]
    if secure:
        parts.append("Secure")
    if not token:
        parts.append("Max-Age=0")
    return "; ".join(parts)


def _cookie(scope: Scope, wanted: str) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(wanted)
            except CookieError:
                return ""
            return found.value if found else ""
    return ""


def is_secure(request: Asked) -> bool:
    return request.scope["scheme"] == "https"


def _with_headers(send: Send, is_static: bool) -> Send:
    """The headers every answer has; a PDF has no policy of its own, or browsers won't show it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            is_pdf = any(name == b"content-type" and value.startswith(b"application/pdf") for name, value in headers)
            kept = b"public, max-age=31536000, immutable" if is_static else b"no-store"
            headers += [*(HEADERS[1:] if is_pdf else HEADERS), (b"cache-control", kept)]
            message = {**message, "headers": headers}
        await send(message)

    return sending
