"""The SM2/SM4 envelope against vectors made by a second implementation (fictional keys and people)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from adapter_core.formats.guomi.envelope import Parties, seal, sm4_key, text_to_sign, unseal
from adapter_core.formats.guomi.sm2 import PrivateKey
from adapter_core.formats.json import read_json
from adapter_core.values.errors import TranslationError
from adapter_core.values.secrets import Secret

pytest.importorskip("gmssl_pyx", reason="the extra guomi is not installed")

APP_ID = "TESTAPPID0000000000000000000001"
APP_SECRET = Secret("TESTAPPSECRET00000000000000000001")
KEY = PrivateKey.of(
    bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"),
    bytes.fromhex(
        "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
        "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
    ),
)
PARTIES = Parties(APP_ID, APP_SECRET, KEY, KEY.public)
FIELDS = {
    "appId": APP_ID, "encType": "SM4", "signType": "SM2", "timestamp": "1700000000000", "version": "1.0.0",
}  # fmt: skip
SOURCE = {
    "userName": "测试甲", "ok": True, "pageNo": 3, "memo": "", "list": [], "idType": "01", "idNo": "110101190001010000",
}  # fmt: skip
TEXT = (
    "appId=TESTAPPID0000000000000000000001&data="
    '{"idNo":"110101190001010000","idType":"01","ok":"true","pageNo":"3","userName":"测试甲"}'
    "&encType=SM4&signType=SM2&timestamp=1700000000000&version=1.0.0&key=TESTAPPSECRET00000000000000000001"
)
SEALED = (
    "217905FC83A1D09288DFB64EDCE4142EC5FCD40BBBEB887514BDF963364CCB039D9085D2FD0F1A712637D885931E801C2D57AB3DDAB51FED176872A6"
    "988F1D44FB281D67D4889A7EF3866AABE783555C"
)
WITH_DEFAULT_ID = "pYoME+iM074WzzSvfTtIcAtNhdJoCq42LTC9Kmju1ltP7Cl0lp6eVO5kjefcrkpaSci0F9GGywrVqd0vlUViUQ=="
WITH_SECRET_AS_ID = "kMXXfN7Qn6xPajDOvPJLV0RtEW/Hp4jufkqfF0dST0PGnJBB7DIRECTe00SF6TXsL6Dp0LMuiLz6duP4ogKx0g=="


def test_the_sm4_key_and_the_sealed_text() -> None:
    assert sm4_key(APP_ID, APP_SECRET) == b"EF65D8BFC8BB78E5"
    data = {"idNo": "110101190001010000", "idType": "01", "userName": "测试甲"}
    assert seal(FIELDS, data, PARTIES)["encData"] == SEALED


def test_the_text_to_sign_and_whose_signature_holds() -> None:
    assert text_to_sign({**FIELDS, "extra": "x", "signData": "x"}, SOURCE, APP_SECRET) == TEXT
    public = KEY.public
    assert public.verify(TEXT.encode(), base64.b64decode(WITH_DEFAULT_ID))
    assert not public.verify(TEXT.encode(), base64.b64decode(WITH_SECRET_AS_ID))
    assert public.verify(TEXT.encode(), base64.b64decode(WITH_SECRET_AS_ID), APP_SECRET.reveal().encode())


def test_objects_in_arrays_are_sorted_and_thinned_too() -> None:
    data = {"rows": [{"b": read_json("1.50"), "a": None, "c": {"z": False, "y": ""}}]}
    assert 'data={"rows":[{"b":"1.50","c":{"z":"false"}}]}' in text_to_sign({}, data, APP_SECRET)


@pytest.mark.parametrize("signs_sealed", [False, True])
def test_an_envelope_opens_again(signs_sealed: bool) -> None:
    parties = Parties(APP_ID, APP_SECRET, KEY, KEY.public, signs_sealed=signs_sealed)
    envelope = seal(FIELDS, SOURCE, parties)
    assert "测试甲" not in str(envelope)
    assert unseal(envelope, parties) == SOURCE


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "1700000000001"},
        {"signData": WITH_SECRET_AS_ID},
        {"signData": "?"},
        {"signData": None},
        {"encData": SEALED},
        {"encData": SEALED[:-2]},
        {"encData": "zz"},
    ],
)
def test_a_changed_envelope_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TranslationError):
        unseal({**seal(FIELDS, SOURCE, PARTIES), **change}, PARTIES)
