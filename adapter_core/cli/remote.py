"""The running service, as this machine's own commands reach it: it holds the ledger, so what writes goes through it."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from adapter_core.config import Config, read_secret
from adapter_core.formats.json import read_json, write_json
from adapter_core.province.messages import Outcome
from adapter_core.settlement.answers import outcome_from
from adapter_core.settlement.verdicts import OperatorDecision
from adapter_core.sidecar.relays import FILE_TYPE
from adapter_core.values.errors import (
    AdapterError,
    ConfigError,
    Fault,
    LedgerUnavailable,
    OutcomeUnknown,
    Refused,
    TranslationError,
)
from adapter_core.values.frames import Frame

PLAYED_TYPE = "application/vnd.his-adapter.played+json"
TOTAL_S = 90.0
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
REPLY_BYTES_MAX = 32 * 1024 * 1024


class PlayRefused(Exception):
    """A message that was refused, with the answer its own form gives."""

    def __init__(self, error: AdapterError, answer: Frame | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.answer = answer


def listens(config: Config) -> bool:
    """Whether a service of this site is up: its credential lies here and somebody listens at its address."""
    if not config.path(config.settings.http.operator_token_file).exists():
        return False
    host, _, port = config.settings.http.listen.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False


class Service:
    """``async with Service(config) as service``.  Raises: ConfigError for a credential that can't be read."""

    def __init__(self, config: Config) -> None:
        http = config.settings.http
        token = read_secret(config.path(http.operator_token_file)).reveal()
        scheme, verify = "http", ssl.create_default_context()
        if http.tls_certificate_file is not None:
            scheme, verify = "https", ssl.create_default_context(cafile=str(config.path(http.tls_certificate_file)))
            verify.check_hostname = False  # the certificate names the machine, we come over loopback
        self._http = httpx.AsyncClient(
            base_url=f"{scheme}://{http.listen}",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            verify=verify,
            timeout=TOTAL_S,
        )

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def play(
        self, dialect: str, raw: bytes, name: str, wait_s: float | None, side: Mapping[str, str], org: str = ""
    ) -> tuple[Outcome, Frame | None]:
        """One local message.  Raises: PlayRefused; OutcomeUnknown where the service did not answer."""
        headers = {"Accept": PLAYED_TYPE, "X-Message": quote(name)}
        headers |= {f"X-Side-{one}": quote(value) for one, value in side.items()}
        if org:
            headers["X-Institution"] = org
        if wait_s is not None:
            headers["Prefer"] = f"wait={wait_s:g}"
        response = await self._post(f"/his/{quote(dialect, safe='')}", raw, headers)
        tree = read_json(response.content)
        if response.status_code >= 400:
            raise PlayRefused(_error(response.status_code, tree), _frame(tree.get("answer")))
        return outcome_from(tree["told"]), _frame(tree["answer"])

    async def void(self, key: str, reason: str) -> Outcome:
        """Raises: whatever the service refuses with."""
        order = {"void_key": f"cli-{secrets.token_hex(8)}", **({"reason": reason} if reason else {})}
        return await self._told(f"/v1/settlements/{quote(key, safe='')}/void", order)

    async def decide(self, key: str, decision: OperatorDecision) -> Outcome:
        """Raises: whatever the service refuses with."""
        order = {
            "outcome": decision.outcome,
            "operator": decision.operator,
            "reason": decision.reason,
            "proof": decision.proof,
            "result": {name: str(value) for name, value in decision.result.items()},
            **({"second_operator": decision.second_operator} if decision.second_operator else {}),
        }
        return await self._told(f"/v1/settlements/{quote(key, safe='')}/decision", order)

    async def order(self, path: str, order: Mapping[str, Any]) -> bytes:
        """The answer's bytes.  Raises: whatever the service refuses with."""
        response = await self._post(path, write_json(dict(order)), {"Content-Type": "application/json"})
        return _whole(response)

    async def ask(self, infno: str, given: Mapping[str, Any], insuplc_admdvs: str, patience_s: float) -> Outcome:
        """One national transaction, as `catalogues.asking.Ask` gives it.  Raises: whatever the service refuses with."""
        order = {"input": dict(given), **({"insuplc_admdvs": insuplc_admdvs} if insuplc_admdvs else {})}
        headers = {"Content-Type": "application/json"}
        response = await self._post(f"/v1/transactions/{infno}", write_json(order), headers, patience_s + TOTAL_S)
        body = _whole(response)
        if response.headers.get("content-type", "").startswith(FILE_TYPE):
            return Outcome("DONE", "OK", "已受理", {"file": body})
        tree = read_json(body, max_bytes=REPLY_BYTES_MAX)
        reply = {name: tree[name] for name in ("infcode", "err_msg", "output")}
        content = {"reply": reply, "call": {"msgid": tree["msgid"]}}
        return Outcome(tree["state"], tree["code"], tree["message_zh"], content, {}, tuple(tree["next"]))

    async def read(self, path: str) -> bytes:
        """Raises: whatever the service refuses with; OutcomeUnknown where it did not answer."""
        try:
            async with asyncio.timeout(TOTAL_S):
                return _whole(await self._http.get(path))
        except (httpx.HTTPError, TimeoutError) as error:
            raise _unanswered(error) from error

    async def accounts(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """One order to the accounts.  Raises: whatever the service refuses with."""
        response = await self._post(
            f"/v1/accounts/{name}", write_json(dict(order)), {"Content-Type": "application/json"}
        )
        tree: dict[str, Any] = read_json(response.content, max_bytes=MESSAGE_BYTES_MAX)
        if response.status_code >= 400:
            raise _error(response.status_code, tree)
        return tree

    async def _told(self, path: str, order: Mapping[str, Any]) -> Outcome:
        response = await self._post(path, write_json(dict(order)), {"Content-Type": "application/json"})
        tree = read_json(response.content)
        if response.status_code >= 400:
            raise _error(response.status_code, tree)
        return Outcome(tree["state"], tree["code"], tree["message_zh"], {}, {}, tuple(tree["next"]))

    async def _post(
        self, path: str, body: bytes, headers: Mapping[str, str], total_s: float = TOTAL_S
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(total_s):
                return await self._http.post(path, content=body, headers=dict(headers), timeout=total_s)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _unanswered(error) from error


def _unanswered(error: Exception) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the service did not answer: {type(error).__name__}", message_zh="服务没有应答，请稍后用 show 查询结果"
    )


def _whole(response: httpx.Response) -> bytes:
    if response.status_code >= 400:
        raise _error(response.status_code, read_json(response.content))
    return response.content


def _error(status: int, problem: Mapping[str, Any]) -> AdapterError:
    code, message_zh = str(problem.get("code", "")), str(problem.get("message_zh", ""))
    detail = str(problem.get("detail", ""))
    if "faults" in problem:
        rows = problem["faults"]
        faults = [Fault(row["path"], row["expected"], row["got"], row.get("title", "")) for row in rows]
        return TranslationError(faults, code=code, message_zh=message_zh)
    if status == 503:
        return LedgerUnavailable(detail, code=code, message_zh=message_zh)
    if status in (401, 403):
        return ConfigError(f"the service refused our credential: {detail}", message_zh=message_zh)
    return Refused(detail, code=code, message_zh=message_zh)


def _frame(data: Mapping[str, Any] | None) -> Frame | None:
    if data is None:
        return None
    outs = {name: base64.b64decode(text) for name, text in data["outs"].items()}
    return Frame(body=base64.b64decode(data["body"]), status=data["status"], ret=data["ret"], outs=outs)
