"""Knowing a caller: by token, by HMAC-SM3, by certificate, by a family's signature, by address; in that order.

A credential that is presented and wrong ends in a refusal: nothing falls back to a weaker proof.  The body is hashed at most,
never parsed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from ipaddress import ip_address
from typing import NamedTuple, cast

from adapter_core.config import ClientSettings, Config, read_secret
from adapter_core.ledger.nonces import NonceFile, NonceTable, SharedNonces
from adapter_core.sidecar.access import families, signatures
from adapter_core.sidecar.access.clients import Client, Peer
from adapter_core.sidecar.access.nonces import NonceMemory, Nonces
from adapter_core.sidecar.access.rates import Rates
from adapter_core.sidecar.access.refusal_log import RefusalLog
from adapter_core.sidecar.access.refusals import TooMany, Unauthenticated
from adapter_core.values.errors import ConfigError
from adapter_core.values.moments import Clock
from adapter_core.values.secrets import Secret

OLD_CLIENTS_PATHS = ("/his/", "/fsi/")
"""Where an address or a family's signature is proof enough: neither covers the body, so the rest of the service stays closed."""

Headers = Sequence[tuple[bytes, bytes]]


class Credential(NamedTuple):
    """A stored secret's digest with its owner: what is compared never has the secret's own length."""

    client: Client
    digest: bytes


class HmacKey(NamedTuple):
    client: Client
    secret: Secret


class Access:
    """The clients of one configuration.

    nonces: where the nonces of HMAC-SM3 calls are remembered, shared when replicas share the ledger.
    """

    def __init__(
        self,
        clients: Iterable[ClientSettings],
        read: Callable[[ClientSettings], ClientSecrets],
        institutions: Iterable[str],
        clock: Clock,
        nonces: Nonces | None = None,
        rates: Rates | None = None,
    ) -> None:
        """Raises: ConfigError for two clients with one name, key or token."""
        self._clock = clock
        self._nonces = nonces or NonceMemory(clock)
        self._rates = rates
        self.refused = RefusalLog(clock)
        self._tokens: list[Credential] = []
        self._hmac_keys: dict[str, HmacKey] = {}
        self._certificates: dict[bytes, Client] = {}
        self._families: dict[tuple[str, str], HmacKey] = {}
        self._settings: list[tuple[ClientSettings, Client]] = []
        names: set[str] = set()
        for one in clients:
            if one.name in names:
                raise ConfigError(f"two clients are named {one.name}")
            names.add(one.name)
            self._add(one, read(one), frozenset(one.institutions or institutions))

    @classmethod
    def of(
        cls,
        config: Config,
        clock: Clock,
        ledger: object = None,
    ) -> Access:
        """From the configuration and its key files.  ledger: where replicas share their nonces.

        Raises: ConfigError, also for a key file that others can read.
        """
        settings = config.settings
        nonces: Nonces | None = None
        if any(one.hmac_key_files for one in settings.clients):
            if config.is_shared:
                nonces = SharedNonces(cast("NonceTable", ledger), clock)
            else:
                nonces = NonceFile(config.ledger_path.with_name(f"{config.ledger_path.name}.nonces"), clock)
        rates = Rates(clock, settings.http.calls_per_s, settings.http.calls_at_once)
        institutions = [one.fixmedins_code for one in settings.every_institution]
        return cls(settings.clients, lambda one: read_secrets(config, one), institutions, clock, nonces, rates)

    async def admit(self, method: str, path: str, query: str, headers: Headers, body: bytes, peer: Peer) -> Client:
        """The caller.  method, path and query as sent (percent-encoded, the query without ``?``, "" where there is none); headers
        as ASGI gives them, names in lower case; body as received.

        Raises: Unauthenticated, TooMany.
        """
        try:
            client = await self._known(signatures.Request(method, path, query, body), partial(_only, headers), peer)
            if self._rates is not None:
                self._rates.take(client.name)
            return client
        except (Unauthenticated, TooMany) as error:
            self.refused.note(error.code, peer.address, path.split("/")[1])
            raise

    def close(self) -> None:
        self._nonces.close()

    async def _known(self, request: signatures.Request, only: families.Only, peer: Peer) -> Client:
        authorization = only(b"authorization")
        if authorization is not None:
            scheme, _, credential = authorization.partition(" ")
            if scheme.lower() == "bearer":
                return self._of_token(credential.strip())
            if scheme.lower() == signatures.SCHEME.lower():
                return await self._of_signature(request, credential)
            raise Unauthenticated("the Authorization header is neither Bearer nor HMAC-SM3")
        if peer.certificate:
            found = self._certificates.get(sha256(peer.certificate).digest())
            if found is not None:
                return found
        if request.path.startswith(OLD_CLIENTS_PATHS):
            old = self._of_family(only, request.body) or self._of_address(peer)
            if old is not None:
                return old
        raise Unauthenticated("no credential", code="CREDENTIAL_MISSING")

    def _of_token(self, token: str) -> Client:
        digest = sha256(token.encode("latin-1")).digest()
        found: Client | None = None
        for credential in self._tokens:  # all of them, whichever fits
            if hmac.compare_digest(credential.digest, digest):
                found = credential.client
        if found is None:
            raise Unauthenticated("the token isn't known")
        return found

    async def _of_signature(self, request: signatures.Request, credential: str) -> Client:
        signed = signatures.read_credential(credential)
        key = self._hmac_keys.get(signed.key_id)
        signatures.check(request, signed, key.secret if key else None, self._clock.wall())
        assert key is not None  # check refuses an unknown key, at the cost of a known one
        if not await self._nonces.is_new(signed.key_id, signed.nonce):
            raise Unauthenticated("this call was made before", code="NONCE_REPEATED")
        return key.client

    def _of_family(self, only: families.Only, body: bytes) -> Client | None:
        """None where no family's account is known to us: the headers may be meant for the province's own gateway."""
        for family in families.FAMILIES:
            account = only(family.account_header)
            key = self._families.get((family.kind, account)) if account is not None else None
            if key is not None:
                family.check(only, body, key.secret, self._clock.wall())
                return key.client
        return None

    def _of_address(self, peer: Peer) -> Client | None:
        try:
            address = ip_address(peer.address)
        except ValueError:  # a local socket
            return None
        mapped = getattr(address, "ipv4_mapped", None)
        found = [
            client
            for one, client in self._settings
            if one.listen in (None, peer.listener) and any((mapped or address) in network for network in one.addresses)
        ]
        if len(found) > 1:
            raise Unauthenticated("several clients are bound to this address: give each a listener of its own")
        return _proved(found[0], "address", str(address)) if found else None

    def _add(self, one: ClientSettings, secrets: ClientSecrets, institutions: frozenset[str]) -> None:
        client = Client(one.name, frozenset(one.roles), institutions)
        self._settings.append((one, client))
        for key_id, token in secrets.tokens.items():
            digest = sha256(token.reveal().encode()).digest()
            if any(digest == credential.digest for credential in self._tokens):
                raise ConfigError(f"client {one.name} has a token that another has too")
            self._tokens.append(Credential(_proved(client, "bearer", key_id), digest))
        for key_id, secret in secrets.hmac_keys.items():
            if key_id in self._hmac_keys:
                raise ConfigError(f"two clients have an HMAC key named {key_id}")
            self._hmac_keys[key_id] = HmacKey(_proved(client, "hmac-sm3", key_id), secret)
        for fingerprint in one.certificate_sha256:
            digest = bytes.fromhex(fingerprint.replace(":", ""))
            if digest in self._certificates:
                raise ConfigError(f"client {one.name} has a certificate that another has too")
            self._certificates[digest] = _proved(client, "certificate", digest[:8].hex())
        if one.family is not None and secrets.family is not None:
            place = (one.family.kind, one.family.account)
            if place in self._families:
                raise ConfigError(f"two clients have the {one.family.kind} account {one.family.account}")
            self._families[place] = HmacKey(_proved(client, one.family.kind, one.family.account), secrets.family)


class ClientSecrets(NamedTuple):
    """What one client's key files hold, by key id."""

    tokens: dict[str, Secret]
    hmac_keys: dict[str, Secret]
    family: Secret | None


def read_secrets(config: Config, one: ClientSettings) -> ClientSecrets:
    """Raises: ConfigError when a file is missing, empty, or others can read it."""
    tokens = {
        path.stem: read_secret(config.path(path)) for path in (one.token_file, one.next_token_file) if path is not None
    }
    keys = {key_id: read_secret(config.path(path)) for key_id, path in one.hmac_key_files.items()}
    family = read_secret(config.path(one.family.secret_file)) if one.family is not None else None
    return ClientSecrets(tokens, keys, family)


def _only(headers: Headers, name: bytes) -> str | None:
    """A header of one request.  Raises: Unauthenticated for one that comes twice: which of both would another reader believe?"""
    found: bytes | None = None
    for given, value in headers:
        if given == name:
            if found is not None:
                raise Unauthenticated(f"header {name.decode()} twice")
            found = value
    return None if found is None else found.decode("latin-1")


def _proved(client: Client, proved_by: str, key_id: str) -> Client:
    return Client(client.name, client.roles, client.institutions, proved_by, key_id)
