"""Why a caller is turned away.  Nothing was read of the body, and nothing was sent."""

from __future__ import annotations

from adapter_core.values.errors import AdapterError


class Unauthenticated(AdapterError):
    """HTTP 401.  ``code``: CREDENTIAL_MISSING, CREDENTIAL_UNKNOWN, SIGNATURE_WRONG, TIMESTAMP_OUTSIDE, NONCE_REPEATED.

    The text never says which part of a credential was right.
    """

    code = "CREDENTIAL_UNKNOWN"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, message_zh="接口凭据无效，请联系信息科")


class Forbidden(AdapterError):
    """HTTP 403: known, but this isn't theirs.  ``code``: ROLE_MISSING, INSTITUTION_FORBIDDEN."""

    code = "ROLE_MISSING"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, message_zh="该接口凭据无权执行此操作，请联系信息科")


class TooMany(AdapterError):
    """HTTP 429: nothing was sent, repeat the same after ``retry_after_s`` seconds."""

    code = "TOO_MANY_REQUESTS"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, message_zh="请求过于频繁，请稍后用同一单据重试")
        self.retry_after_s = retry_after_s
