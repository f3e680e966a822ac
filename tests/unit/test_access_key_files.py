"""Key files that others could read are refused, on POSIX and on Windows; the inventory names every key and shows none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_core.config import load_config, read_secret
from adapter_core.ledger.anchor_keys import create_anchor_key
from adapter_core.ledger.key_files import posix_complaint, windows_complaint
from adapter_core.ledger.sealing import create_master_key
from adapter_core.operations.key_inventory import key_inventory
from adapter_core.values.errors import ConfigError

OWNER, ROOT = 1000, 0


@pytest.mark.parametrize(
    ("mode", "owner", "user", "is_fine"),
    [
        (0o600, OWNER, OWNER, True),
        (0o400, OWNER, OWNER, True),
        (0o640, OWNER, OWNER, False),
        (0o604, OWNER, OWNER, False),
        (0o620, OWNER, OWNER, False),
        (0o440, ROOT, OWNER, True),  # a Kubernetes secret, lent to the service's group
        (0o460, ROOT, OWNER, False),
        (0o444, ROOT, OWNER, False),
        (0o440, ROOT, ROOT, False),
        (0o440, 2000, OWNER, False),
    ],
)
def test_whose_file_a_key_may_be(mode: int, owner: int, user: int, is_fine: bool) -> None:
    assert (posix_complaint(mode, owner, user) == "") is is_fine


SERVICE = "S-1-5-80-1-2-3-4-5"
FOUR = "S-1-5-21-1-2-3"


@pytest.mark.parametrize(
    ("access_list", "said"),
    [
        (f"O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;{SERVICE})", ""),
        (f"O:BAD:AI(A;ID;FA;;;SY)(A;ID;FR;;;{FOUR}-1001)", ""),
        ("O:BAD:AI(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)", "Users can read"),
        ("O:BAD:(A;;FR;;;WD)", "Everyone can read"),
        ("O:BAD:(A;;FR;;;S-1-1-0)", "Everyone can read"),
        ("O:BAD:(A;;FR;;;AU)", "Authenticated Users can read"),
        (f"O:BAD:(A;;FR;;;{FOUR}-513)", "a domain's users can read"),
        ("O:BAD:(XA;;FR;;;WD;(Member_of {SID(BA)}))", "Everyone can read"),
        ("O:BAD:(D;;FA;;;WD)(A;;FA;;;SY)", ""),
        ("O:BAD:(A;;FA;;;SY)S:(AU;SAFA;FA;;;WD)", ""),
        ("O:BAD:NO_ACCESS_CONTROL", "no access list"),
        ("O:BA", "no access list"),
    ],
)
def test_whose_file_a_key_may_be_on_windows(access_list: str, said: str) -> None:
    told = windows_complaint(access_list)
    assert said in told
    assert bool(told) is bool(said)


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_a_secret_file_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(" secret-not-real \n")
    file.chmod(0o600)
    assert read_secret(file).reveal() == "secret-not-real"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        read_secret(file)
    assert "secret-not-real" not in str(caught.value)
    for content, said in ((b" \n", "empty"), (b"\xff\xfe", "no UTF-8")):
        file.chmod(0o600)
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            read_secret(file)
    with pytest.raises(ConfigError, match="can't be read"):
        read_secret(tmp_path / "absent")


@pytest.mark.skipif(os.name != "posix", reason="Windows writes none by itself")
def test_a_service_leaves_no_core_dump() -> None:
    code = (
        "from adapter_core.ledger.key_files import forbid_core_dumps; forbid_core_dumps()\n"
        "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "(0, 0)"


CONFIG = """
[institution]
fixmedins_code = "H36010000001"
fixmedins_name = "测试医院"
admdvs = "360100"
[ledger]
former_anchor_key_files = ["keys/old.key.public"]
[gateway]
url = "http://127.0.0.1:9"
plain_http = "unit test"
secret_files = { sk = "keys/sk", other = "keys/other" }
[[clients]]
name = "his"
roles = ["his"]
token_file = "keys/his.token"
hmac_key_files = { "his-2026" = "keys/his.hmac" }
[[clients]]
name = "old"
roles = ["his"]
family = { kind = "x-ca", account = "acc-1", secret_file = "keys/old" }
"""


def test_the_inventory_names_every_key_and_shows_none(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (tmp_path / "his-adapter.toml").write_text(CONFIG, "utf-8")
    create_master_key(keys / "master.key")
    create_anchor_key(keys / "anchor.key")
    for name in ("sk", "other", "his.token", "his.hmac", "old"):
        (keys / name).write_text(f"canary-of-{name}")
        (keys / name).chmod(0o600)
    (keys / "old").chmod(0o644)
    found = {entry.name: entry for entry in key_inventory(load_config(tmp_path / "his-adapter.toml"))}
    assert {name: (entry.algorithm, entry.key_id) for name, entry in found.items() if name.startswith("clients.")} == {
        "clients.his.token_file": ("Bearer", "his"),
        "clients.his.hmac_key_files": ("HMAC-SM3", "his-2026"),
        "clients.old.family": ("HMAC-SM3", "acc-1"),
    }
    assert found["gateway.secret_files.sk"].algorithm.startswith("HMAC-SHA1")
    assert found["ledger.anchor_key_file"].key_id
    assert found["ledger.former_anchor_key_files"].state == "尚未建立"
    assert "others can read it" in found["clients.old.family"].state
    assert found["ledger.master_key_file"].state == "仅属主可读"
    assert "canary" not in str(found)
