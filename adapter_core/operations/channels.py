"""How somebody is called: syslog, webhook, e-mail.  Each sends one call, blocking, and raises OSError when it can't."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import urlsplit

from adapter_core.config import AlarmMail, Config, read_secret
from adapter_core.operations.alarms import Call
from adapter_core.values.moments import Clock, iso
from adapter_core.values.secrets import Secret

TIMEOUT_S = 10.0
_LOCAL0 = 16
_SYSLOG_LEVEL = {"critical": 2, "warning": 4, "over": 5}


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    def send(self, call: Call) -> None:
        """Raises: OSError (of which socket, URL and SMTP errors are kinds)."""


@dataclass(frozen=True, slots=True)
class SyslogChannel:
    """RFC 5424 datagrams to ``udp://host:port`` or ``unix:/path``."""

    address: str
    clock: Clock
    name: str = "syslog"

    def send(self, call: Call) -> None:
        level = _SYSLOG_LEVEL["over" if call.word == "over" else call.alarm.severity]
        head = f"<{_LOCAL0 * 8 + level}>1 {iso(self.clock.wall())} {socket.gethostname()} his-adapter - {call.alarm.name} - "
        self._post(head.encode("ascii", "backslashreplace") + b"\xef\xbb\xbf" + call.text.encode())

    def _post(self, datagram: bytes) -> None:
        if sys.platform != "win32" and self.address.startswith("unix:"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
                local.settimeout(TIMEOUT_S)
                local.sendto(datagram, self.address.removeprefix("unix:"))
            return
        host, port = urlsplit(self.address).hostname or "", urlsplit(self.address).port or 514
        kind, protocol, address = _resolved(host, port)
        with socket.socket(kind, socket.SOCK_DGRAM, protocol) as udp:
            udp.sendto(datagram, address)


def _resolved(host: str, port: int) -> tuple[int, int, Any]:
    kind, _, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    return kind, protocol, address


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A token goes to the address it was configured for, and nowhere else."""


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """POST of one JSON object: ``alarm word severity text at environment org``, all strings."""

    url: str
    token: Secret | None
    constant: Mapping[str, str]
    clock: Clock
    name: str = "webhook"

    def send(self, call: Call) -> None:
        body = {
            "alarm": call.alarm.name,
            "word": call.word,
            "severity": call.alarm.severity,
            "text": call.text,
            "at": iso(self.clock.wall()),
            **self.constant,
        }
        request = urllib.request.Request(
            self.url, json.dumps(body, ensure_ascii=False).encode(), {"Content-Type": "application/json; charset=utf-8"}
        )
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token.reveal()}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(4096)


@dataclass(frozen=True, slots=True)
class MailChannel:
    """Plain-text e-mail over SMTP."""

    mail: AlarmMail
    password: Secret | None
    constant: Mapping[str, str]
    name: str = "email"

    def send(self, call: Call) -> None:
        message = EmailMessage()
        message["Subject"] = f"[his-adapter {self.constant['environment']}] {call.alarm.name} {call.word}"
        message["From"] = self.mail.sender
        message["To"] = ", ".join(self.mail.to)
        message.set_content(
            f"{call.text}\n\n{self.constant['org']}\n", cte="base64"
        )  # a relay may know seven bits only
        with smtplib.SMTP(self.mail.host, self.mail.port, timeout=TIMEOUT_S) as server:
            if self.mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if self.mail.user and self.password is not None:
                server.login(self.mail.user, self.password.reveal())
            server.send_message(message)


def channels_of(config: Config, clock: Clock) -> list[Channel]:
    """Those the configuration names.  Raises: ConfigError for a secret file that isn't right."""
    settings = config.settings.alarms
    constant = {
        "environment": config.settings.environment,
        "org": config.settings.institution.fixmedins_code,
    }
    found: list[Channel] = []
    if settings.syslog:
        found.append(SyslogChannel(settings.syslog, clock))
    if settings.webhook:
        token = read_secret(config.path(settings.webhook_token_file)) if settings.webhook_token_file else None
        found.append(WebhookChannel(settings.webhook, token, constant, clock))
    if settings.email:
        secret = settings.email.password_file
        found.append(MailChannel(settings.email, read_secret(config.path(secret)) if secret else None, constant))
    return found
