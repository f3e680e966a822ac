"""Vectors with invented keys, and the signatures of our own sample requests computed again."""

from __future__ import annotations

import pytest

from adapter_core.formats.signing import csb_headers, csb_signature, tif_headers, tif_signature
from adapter_core.values.errors import ContractError
from adapter_core.values.secrets import Secret

CSB_SECRET = Secret("sk-test-0001")
TIF_TOKEN = Secret("test-token-not-real-0001")


@pytest.mark.parametrize(
    ("api_name", "timestamp", "signature"),
    [
        ("hsa-fsi-1101", "1700000000000", "iFSNXfnRfcPCaeVIAclUD/Ou9bc="),
        ("hssServives", "1700000000", "hFbsXkN+DRlghAVJUAwpLH41tfU="),
        ("hssServives", "1795222980", "X4jhvrJWF3iD8OBKOwbsPjTtJW8="),
        ("hssServives", "1795222801", "mbmU2xIrys7u6kdJCfjlUerdC3Y="),
        ("hsa-fsi-1101", "1795222801000", "YA0PDuB0EiS9RbJCx+ihcyeXSKI="),
        ("hsa-fsi-2206", "1795222980000", "IIcnuKU7KkuwXIZQ0/INh5aA4GQ="),
        ("hsa-fsi-2207", "1795223100000", "0deElxGG7dhkTi8BWKDgWBHZ4iI="),
    ],
)
def test_csb_headers(api_name: str, timestamp: str, signature: str) -> None:
    headers = csb_headers("ak-test-0001", CSB_SECRET, api_name=api_name, api_version="1.0.0", timestamp=timestamp)
    assert headers == (
        ("_api_name", api_name),
        ("_api_version", "1.0.0"),
        ("_api_timestamp", timestamp),
        ("_api_access_key", "ak-test-0001"),
        ("_api_signature", signature),
    )


def test_csb_signs_form_fields_sorted_with_the_rest_and_a_form_cannot_override_the_headers() -> None:
    def signature(form: dict[str, str] | None) -> str:
        return dict(csb_headers("ak", CSB_SECRET, api_name="n", api_version="1", timestamp="2", form=form))[
            "_api_signature"
        ]

    fields = {"_api_access_key": "ak", "_api_name": "n", "_api_timestamp": "2", "_api_version": "1"}
    assert signature({"z": "甲 &", "A": "1"}) == csb_signature(CSB_SECRET, {"z": "甲 &", **fields, "A": "1"})
    assert signature({"z": "1"}) != signature(None)
    assert signature({"_api_name": "other"}) == signature(None)


@pytest.mark.parametrize(
    ("timestamp", "nonce", "signature"),
    [
        ("1700000000", "a1b2c3d4", "7bc4f2d716bda431083c3da2c8d82327666e065fb49cd45cd7d0e25669adb52a"),
        ("1700000180", "b2c3d4e5", "d03279bd97f36650872840a13440b0201a0e8d50cc4f0f72aa2e6dffd84bda1d"),
    ],
)
def test_tif_headers(timestamp: str, nonce: str, signature: str) -> None:
    assert tif_headers("gd_test_0001", TIF_TOKEN, timestamp=timestamp, nonce=nonce) == (
        ("x-tif-paasid", "gd_test_0001"),
        ("x-tif-timestamp", timestamp),
        ("x-tif-nonce", nonce),
        ("x-tif-signature", signature),
    )
    capitals = tif_headers("gd_test_0001", TIF_TOKEN, timestamp=timestamp, nonce=nonce, upper=True)
    assert dict(capitals)["x-tif-signature"] == signature.upper()


def test_the_tif_account_is_not_signed() -> None:
    one, other = (dict(tif_headers(name, TIF_TOKEN, timestamp="1", nonce="n")) for name in ("a", "b"))
    assert one["x-tif-signature"] == other["x-tif-signature"] == tif_signature(TIF_TOKEN, timestamp="1", nonce="n")


@pytest.mark.parametrize("nonce", ["a\r\nHost: x", "", "测", "a b"])
def test_no_value_can_add_a_header(nonce: str) -> None:
    with pytest.raises(ContractError, match="x-tif-nonce"):
        tif_headers("gd_test_0001", TIF_TOKEN, timestamp="1700000000", nonce=nonce)
