"""HTTPS of our own listeners, and certificates asked of callers."""

from __future__ import annotations

import ssl
from typing import Any

from adapter_core.config import Config
from adapter_core.ledger.key_files import KEY_TEXT_BYTES_MAX, read_key_file
from adapter_core.values.errors import ConfigError


def server_tls(config: Config) -> dict[str, Any]:
    """What uvicorn's Config takes for HTTPS, nothing where none is configured.  TLS 1.2 or newer.

    A caller's certificate is asked for, not demanded: who has none needs another credential.  Raises: ConfigError.
    """
    http = config.settings.http
    if http.tls_certificate_file is None and http.tls_key_file is None and http.client_ca_file is None:
        return {}
    if http.tls_certificate_file is None or http.tls_key_file is None:
        raise ConfigError(
            "http.tls_certificate_file and http.tls_key_file belong together; http.client_ca_file needs both"
        )
    certificate, key = config.path(http.tls_certificate_file), config.path(http.tls_key_file)
    read_key_file(key, KEY_TEXT_BYTES_MAX)  # for its refusal
    settings: dict[str, Any] = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    if http.client_ca_file is not None:
        settings |= {"ssl_ca_certs": str(config.path(http.client_ca_file)), "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    return settings
