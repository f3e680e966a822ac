"""Who is admitted, by which proof, and who is not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter_core.config import ClientSettings
from adapter_core.formats.signing import ca_headers, csb_headers, tif_headers
from adapter_core.sidecar.access import Access, Client, Forbidden, Peer, Right, TooMany, Unauthenticated
from adapter_core.sidecar.access.admission import ClientSecrets
from adapter_core.sidecar.access.rates import Rates
from adapter_core.sidecar.access.signatures import Request, signature_of
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret
from tests.clocks import HandClock

ORG = "H00000000001"
NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
HERE = Peer("127.0.0.1", listener="127.0.0.1:8970")
KEY = Secret("hmac-key-not-real-0001")
NONCE = "0123456789abcdef"


@dataclass
class Entrance:
    """An Access over the given clients, with a clock that is held."""

    clients: Sequence[tuple[ClientSettings, ClientSecrets]]
    rate: float = 0
    clock: HandClock = field(default_factory=lambda: HandClock(NOW))

    def __post_init__(self) -> None:
        secrets = {one.name: kept for one, kept in self.clients}
        self.access = Access(
            [one for one, _ in self.clients],
            lambda one: secrets[one.name],
            [ORG],
            self.clock,
            rates=Rates(self.clock, self.rate, 2) if self.rate else None,
        )

    async def call(
        self,
        headers: Sequence[tuple[str, str]] = (),
        *,
        method: str = "POST",
        path: str = "/v1/settlements",
        query: str = "",
        body: bytes = b"{}",
        peer: Peer = HERE,
    ) -> Client:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        return await self.access.admit(method, path, query, raw, body, peer)


def client(
    name: str = "his", roles: Sequence[str] = ("his",), secrets: dict[str, Any] | None = None, **more: Any
) -> Any:
    kept = {"tokens": {}, "hmac_keys": {}, "family": None, **(secrets or {})}
    return ClientSettings(name=name, roles=list(roles), **more), ClientSecrets(**kept)  # type: ignore[arg-type]


def with_tokens(*tokens: str, name: str = "his", **more: Any) -> Any:
    return client(name, secrets={"tokens": {f"{name}-{n}": Secret(one) for n, one in enumerate(tokens)}}, **more)


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


def signed(
    key: Secret = KEY, key_id: str = "his-2026", stamp: str = STAMP, nonce: str = NONCE, **request: Any
) -> list[tuple[str, str]]:
    parts = {"method": "POST", "path": "/v1/settlements", "query": "", "body": b"{}", **request}
    signature = signature_of(Request(**parts), stamp, nonce, key)
    parts_of_header = f'key_id="{key_id}", timestamp="{stamp}", nonce="{nonce}", signature="{signature}"'
    return [("Authorization", f"HMAC-SM3 {parts_of_header}")]


def with_hmac(**keys: str) -> Any:
    return client(secrets={"hmac_keys": {name: Secret(text) for name, text in keys.items()}})


async def refused(call: Any, code: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await call
    assert caught.value.code == code


async def test_a_token_names_its_client_its_roles_and_its_institutions() -> None:
    one = with_tokens("token-of-one", institutions=["H9"])
    two = with_tokens("token-of-two", name="audit", roles=["auditor"])
    entrance = Entrance([one, two])
    found = await entrance.call(bearer("token-of-two"))
    assert (found.name, found.roles, found.institutions) == ("audit", {"auditor"}, {ORG})
    assert (found.proved_by, found.key_id) == ("bearer", "audit-0")
    assert (await entrance.call(bearer("token-of-one"))).institutions == {"H9"}


@pytest.mark.parametrize("token", ["", "token-of-on", "token-of-one ", "token-of-onE", "tøken", " "])
async def test_any_other_token_is_unknown(token: str) -> None:
    entrance = Entrance([with_tokens("token-of-one")])
    if token.strip() == "token-of-one":
        assert await entrance.call(bearer(token))
        return
    await refused(entrance.call(bearer(token)), "CREDENTIAL_UNKNOWN")


async def test_both_tokens_hold_while_they_change() -> None:
    entrance = Entrance([with_tokens("token-of-now", "token-to-come")])
    assert [(await entrance.call(bearer(one))).key_id for one in ("token-of-now", "token-to-come")] == [
        "his-0",
        "his-1",
    ]


async def test_nothing_is_open_without_a_credential_and_the_log_holds_none(caplog: pytest.LogCaptureFixture) -> None:
    entrance = Entrance([with_tokens("token-of-one")])
    await refused(entrance.call(path="/v1/settlements/key-of-a-patient"), "CREDENTIAL_MISSING")
    await refused(entrance.call(bearer("secret-guess")), "CREDENTIAL_UNKNOWN")
    await refused(entrance.call([*bearer("token-of-one"), *bearer("token-of-one")]), "CREDENTIAL_UNKNOWN")
    await refused(entrance.call([("Authorization", "Basic aGlzOmhpcw==")]), "CREDENTIAL_UNKNOWN")
    assert "CREDENTIAL_MISSING from 127.0.0.1 to v1" in caplog.text
    assert "secret-guess" not in caplog.text
    assert "key-of-a-patient" not in caplog.text


async def test_a_flood_of_refusals_is_a_line_each_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    entrance = Entrance([with_tokens("token-of-one")])
    for _ in range(50):
        await refused(entrance.call(bearer("guess")), "CREDENTIAL_UNKNOWN")
    entrance.clock.seconds = 10
    await refused(entrance.call(bearer("guess")), "CREDENTIAL_UNKNOWN")
    assert [record.args[-1] for record in caplog.records] == [0, 49]  # type: ignore[index]


async def test_a_signed_call_is_admitted_once() -> None:
    entrance = Entrance([with_hmac(**{"his-2026": KEY.reveal()})])
    found = await entrance.call(signed())
    assert (found.name, found.proved_by, found.key_id) == ("his", "hmac-sm3", "his-2026")
    await refused(entrance.call(signed()), "NONCE_REPEATED")
    entrance.clock.seconds = 599
    await refused(entrance.call(signed()), "NONCE_REPEATED")
    assert await entrance.call(signed(nonce="f" * 16))


async def test_two_signing_keys_hold_while_they_change() -> None:
    entrance = Entrance([with_hmac(old="key-one-not-real", new="key-two-not-real")])
    assert (await entrance.call(signed(Secret("key-one-not-real"), "old"))).key_id == "old"
    assert (await entrance.call(signed(Secret("key-two-not-real"), "new"))).key_id == "new"
    await refused(entrance.call(signed(Secret("key-two-not-real"), "old", nonce="f" * 16)), "SIGNATURE_WRONG")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "DELETE"},
        {"path": "/v1/settlement"},
        {"query": "state=SETTLED"},
        {"body": b"{} "},
    ],
)
async def test_whatever_is_changed_of_a_signed_call_shows(change: dict[str, Any]) -> None:
    entrance = Entrance([with_hmac(**{"his-2026": KEY.reveal()})])
    await refused(entrance.call(signed(), **change), "SIGNATURE_WRONG")
    assert await entrance.call(signed())  # a refused call uses up no nonce


@pytest.mark.parametrize(
    ("seconds", "code"), [(-300, ""), (300, ""), (-301, "TIMESTAMP_OUTSIDE"), (301, "TIMESTAMP_OUTSIDE")]
)
async def test_a_timestamp_is_believed_for_300_seconds(seconds: int, code: str) -> None:
    entrance = Entrance([with_hmac(**{"his-2026": KEY.reveal()})])
    entrance.clock.now = NOW + timedelta(seconds=seconds)
    if code:
        await refused(entrance.call(signed()), code)
    else:
        assert await entrance.call(signed())


@pytest.mark.parametrize(
    "credential",
    [
        "",
        'key_id="his-2026"',
        f'key_id="his-2026", key_id="his-2026", timestamp="{STAMP}", nonce="{NONCE}", signature="00"',
        f'key_id="his-2026", timestamp="{STAMP}", nonce="short", signature="00"',
        f'key_id="his-2026", timestamp="{STAMP}", nonce="{NONCE}", signature="00", more="1"',
        f"key_id=his-2026, timestamp={STAMP}, nonce={NONCE}, signature=00",
    ],
)
async def test_a_malformed_signature_is_refused(credential: str) -> None:
    entrance = Entrance([with_hmac(**{"his-2026": KEY.reveal()})])
    await refused(entrance.call([("Authorization", f"HMAC-SM3 {credential}")]), "CREDENTIAL_UNKNOWN")


async def test_an_unknown_key_is_refused_like_a_wrong_signature() -> None:
    entrance = Entrance([with_hmac(**{"his-2026": KEY.reveal()})])
    await refused(entrance.call(signed(key_id="nobody")), "SIGNATURE_WRONG")


async def test_a_certificate_is_known_by_its_fingerprint() -> None:
    certificate = b"a certificate in DER"
    digest = hashlib.sha256(certificate).hexdigest().upper()
    colons = ":".join(digest[n : n + 2] for n in range(0, 64, 2))
    entrance = Entrance([client(certificate_sha256=[colons])])
    assert (await entrance.call(peer=Peer("10.0.0.9", certificate))).proved_by == "certificate"
    await refused(entrance.call(peer=Peer("10.0.0.9", certificate + b"x")), "CREDENTIAL_MISSING")
    # A wrong token isn't mended by a good certificate.
    await refused(entrance.call(bearer("guess"), peer=Peer("10.0.0.9", certificate)), "CREDENTIAL_UNKNOWN")


async def test_an_address_opens_the_old_paths_only_and_only_its_own_listener() -> None:
    entrance = Entrance([client(addresses=["10.1.2.0/24"], listen="0.0.0.0:8975")])
    bound = Peer("10.1.2.7", listener="0.0.0.0:8975")
    for path in ("/his/neusoft", "/fsi/api/rsfComIfsService/callService"):
        assert (await entrance.call(path=path, peer=bound)).proved_by == "address"
    assert await entrance.call(path="/his/neusoft", peer=Peer("::ffff:10.1.2.7", listener="0.0.0.0:8975"))
    await refused(entrance.call(path="/v1/settlements", peer=bound), "CREDENTIAL_MISSING")
    await refused(
        entrance.call(path="/his/neusoft", peer=Peer("10.1.2.7", listener="127.0.0.1:8970")), "CREDENTIAL_MISSING"
    )
    await refused(
        entrance.call(path="/his/neusoft", peer=Peer("10.1.3.7", listener="0.0.0.0:8975")), "CREDENTIAL_MISSING"
    )
    await refused(entrance.call(path="/his/neusoft", peer=Peer("", listener="0.0.0.0:8975")), "CREDENTIAL_MISSING")


async def test_an_address_of_two_clients_is_nobodys() -> None:
    entrance = Entrance([client("one", addresses=["10.0.0.0/8"]), client("two", addresses=["10.1.0.0/16"])])
    await refused(entrance.call(path="/his/neusoft", peer=Peer("10.1.2.7")), "CREDENTIAL_UNKNOWN")
    assert (await entrance.call(path="/his/neusoft", peer=Peer("10.2.2.7"))).name == "one"


BODY = '{"infno":"1101","input":{"data":{"psn_name":"测试甲"}}}'.encode()
FAMILIES = {
    "csb": lambda key, stamp, body: csb_headers(
        "acc-1", key, api_name="n", api_version="1.0.0", timestamp=f"{stamp}000"
    ),
    "x-tif": lambda key, stamp, body: tif_headers("acc-1", key, timestamp=stamp, nonce="n1", upper=True),
    "x-ca": lambda key, stamp, body: ca_headers("acc-1", key, timestamp=stamp, body=body),
}


@pytest.mark.parametrize("kind", FAMILIES)
async def test_a_familys_signature_with_our_key(kind: str) -> None:
    made = FAMILIES[kind]
    entrance = Entrance(
        [client(family={"kind": kind, "account": "acc-1", "secret_file": "f"}, secrets={"family": Secret("fam-key")})]
    )
    good = made(Secret("fam-key"), STAMP, BODY)
    found = await entrance.call(good, path="/fsi/api", body=BODY)
    assert (found.proved_by, found.key_id) == (kind, "acc-1")
    await refused(entrance.call(made(Secret("another"), STAMP, BODY), path="/fsi/api", body=BODY), "SIGNATURE_WRONG")
    await refused(
        entrance.call(good[:1], path="/fsi/api", body=BODY),
        "CREDENTIAL_MISSING" if kind == "csb" else "SIGNATURE_WRONG",
    )
    await refused(entrance.call(good, path="/v1/settlements", body=BODY), "CREDENTIAL_MISSING")
    if kind == "x-ca":
        await refused(entrance.call(good, path="/fsi/api", body=BODY + b" "), "SIGNATURE_WRONG")
    entrance.clock.now = NOW + timedelta(seconds=301)
    await refused(entrance.call(good, path="/fsi/api", body=BODY), "TIMESTAMP_OUTSIDE")


async def test_a_signature_meant_for_the_provinces_own_gateway_is_no_concern_of_ours() -> None:
    entrance = Entrance([client(addresses=["10.1.2.7/32"])])
    headers = tif_headers("account-of-the-bureau", Secret("their-key"), timestamp=STAMP, nonce="n1")
    assert (await entrance.call(headers, path="/fsi/api", peer=Peer("10.1.2.7"))).proved_by == "address"


async def test_who_calls_too_often_hears_when_to_come_back() -> None:
    entrance = Entrance([with_tokens("token-of-one"), with_tokens("token-of-two", name="two")], rate=0.5)
    for _ in range(2):
        await entrance.call(bearer("token-of-one"))
    with pytest.raises(TooMany) as caught:
        await entrance.call(bearer("token-of-one"))
    assert caught.value.retry_after_s == 2
    assert await entrance.call(bearer("token-of-two"))
    entrance.clock.seconds += 2
    assert await entrance.call(bearer("token-of-one"))


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("his", {Right.SETTLE, Right.READ, Right.PAPER, Right.WATCH}),
        ("cashier", {Right.SETTLE, Right.READ, Right.PAPER, Right.WATCH}),
        ("operator", {Right.READ, Right.DECIDE, Right.PAPER, Right.UNSEAL, Right.WATCH}),
        ("auditor", {Right.READ, Right.AUDIT, Right.UNSEAL, Right.WATCH}),
        ("admin", {Right.STAFF, Right.WATCH}),
    ],
)
def test_what_a_role_may_do(role: str, rights: set[Right]) -> None:
    one = Client("one", frozenset({role}), frozenset({ORG}))
    assert {right for right in Right if one.may(right)} == rights
    for right in Right:
        if right not in rights:
            with pytest.raises(Forbidden):
                one.demand(right)


def test_an_institution_that_isnt_theirs_is_refused() -> None:
    one = Client("one", frozenset({"his"}), frozenset({ORG}))
    one.demand_institution(ORG)
    with pytest.raises(Forbidden) as caught:
        one.demand_institution("H00000000002")
    assert caught.value.code == "INSTITUTION_FORBIDDEN"


def test_credentials_that_two_clients_share_stop_the_start() -> None:
    with pytest.raises(ConfigError, match="that another has too"):
        Entrance([with_tokens("same"), with_tokens("same", name="two")])
    with pytest.raises(ConfigError, match="two clients are named"):
        Entrance([with_tokens("a"), with_tokens("b")])


@pytest.mark.parametrize(
    "roles", [["operator", "auditor"], ["auditor", "admin"], ["his", "operator", "admin"], ["root"], []]
)
def test_operator_auditor_and_administrator_are_never_one(roles: list[str]) -> None:
    with pytest.raises(ValueError, match="roles"):
        ClientSettings(name="one", roles=roles)  # type: ignore[arg-type]


def test_the_documented_signature_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "security.md").read_text("utf-8")
    key = Secret("hmac-key-not-real-0001")
    request = Request("POST", "/v1/settlements", "", b'{"settle_key":"S1"}')
    assert signature_of(request, "1700000000", "5f2c9a7be01d43c8", key) in page
