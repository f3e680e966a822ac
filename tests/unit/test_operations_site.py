"""`init`, the commented configuration, its schema, and wrong keys named with the right one."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest

from adapter_core.config import known_keys, load_config
from adapter_core.ledger.inspection import verify
from adapter_core.ledger.sealing import read_master_key
from adapter_core.operations.config_file import (
    SCHEMA_PAGE,
    SEVERAL,
    config_schema,
    config_text,
    notes,
    toml_value,
    unexplained,
)
from adapter_core.operations.site import NewSite, make_site
from adapter_core.values.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NEW = NewSite("H36010000001", "测试医院", "360100", "http://127.0.0.1:1/fsi/api", plain_http="tests")


def test_a_new_site_is_private_and_whole(tmp_path: Path) -> None:
    config = make_site(tmp_path / "site", NEW)
    files = [
        tmp_path / "site" / name for name in ("his-adapter.toml", "keys/master.key", "keys/his.token", "ledger.db")
    ]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 4
    assert stat.S_IMODE((tmp_path / "site" / "keys").stat().st_mode) == 0o700
    assert verify(config.ledger_path, read_master_key(config.master_key_path)).is_whole
    [client] = config.settings.clients
    assert (client.name, client.roles) == ("his", ["his", "cashier"])
    assert len((tmp_path / "site" / "keys" / "his.token").read_text("ascii").strip()) >= 40


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    make_site(tmp_path, NEW)
    key = (tmp_path / "keys" / "master.key").read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        make_site(tmp_path, NEW)
    assert (tmp_path / "keys" / "master.key").read_bytes() == key


def test_a_site_that_can_not_be_right_leaves_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"institution\.admdvs"):
        make_site(tmp_path, NewSite("H36010000001", "测试医院", "36", "https://127.0.0.1/"))
    assert not (tmp_path / "his-adapter.toml").exists()


def test_every_key_stands_in_the_file_and_uncommented_it_still_loads(tmp_path: Path) -> None:
    text = config_text(NEW.values(), ({"name": "his", "roles": ["his"], "token_file": "keys/his.token"},))
    lines = text.splitlines()
    for path in known_keys():
        name = path.rpartition(".")[2]
        standing = (f"{name} = ", f"[{path}]", f"[[{path}]]", f"[{path}.NAME]")
        assert path.startswith(("clients.family", *(f"{name}." for name in SEVERAL))) or any(
            line.removeprefix("# ").startswith(standing) for line in lines
        ), path
    shown = [line.removeprefix("# ") if _is_a_setting(line) else line for line in lines]
    (tmp_path / "his-adapter.toml").write_text("\n".join(shown), "utf-8")
    tomllib.loads("\n".join(shown))
    load_config(tmp_path / "his-adapter.toml")


def _is_a_setting(line: str) -> bool:
    name, equals, _ = line.removeprefix("# ").partition(" = ")
    return bool(line.startswith("# ") and ((equals and name.isidentifier()) or name == "[alarms.email]"))


def test_every_key_has_a_note_and_every_note_a_key() -> None:
    assert unexplained() == []
    assert all(entry["note"] for entry in notes().values())


def test_the_published_schema_is_not_stale() -> None:
    published = json.loads((ROOT / SCHEMA_PAGE).read_text("utf-8"))
    assert published == json.loads(json.dumps(config_schema())), "run python -m adapter_core.operations.config_file"
    assert published["properties"]["timers"]
    assert (
        published["$defs"]["TimerSettings"]["properties"]["sync_wait"]["description"]
        == notes()["timers.sync_wait"]["note"]
    )


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("[timers]\nsink_wait = 3", "timers.sink_wait: no such key; did you mean timers.sync_wait?"),
        ("[ledger]\nsync_wait = 3", "ledger.sync_wait: no such key; did you mean timers.sync_wait?"),
        ("[[clients]]\nname = 'a'\nroles = ['his']\ntokenfile = 'x'", "clients.0.tokenfile: no such key; did you mean clients.token_file?"),
        ("[timers]\nsync_wait = 99", "timers.sync_wait: "),
        ("[zzz]\nqqqq = 1", "zzz: no such key"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_the_one_that_was_meant(tmp_path: Path, written: str, named: str) -> None:
    path = tmp_path / "his-adapter.toml"
    needed = "[institution]\nfixmedins_code='H'\nfixmedins_name='n'\nadmdvs='360100'\n[gateway]\nurl='https://x/'\n"
    path.write_text(needed + written, "utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert named in str(refused.value)


def test_a_variable_that_names_no_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_site(tmp_path, NEW)
    monkeypatch.setenv("YB_TIMERS__SYNC_WAIT", "3")
    assert load_config(tmp_path / "his-adapter.toml").settings.timers.sync_wait == 3
    monkeypatch.setenv("YB_TIMER__GATE", "3")
    with pytest.raises(ConfigError, match=r"YB_TIMER__GATE: no such key; did you mean timers.gate\?"):
        load_config(tmp_path / "his-adapter.toml")


@pytest.mark.parametrize("value", ["plain", '引"号\\', "a\nb", True, 3, 2.5, ["a", "b"], {"a.b": "c"}])
def test_values_survive_toml(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
