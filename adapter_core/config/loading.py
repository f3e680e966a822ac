"""Reading the file: settings with the folder they belong to, or every wrong key with the one that may have been meant."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import TomlConfigSettingsSource

from adapter_core.config.sections import GatewaySettings
from adapter_core.config.settings import Settings
from adapter_core.ledger.key_files import KEY_TEXT_BYTES_MAX, read_key_file
from adapter_core.values.errors import ConfigError
from adapter_core.values.secrets import Secret

DEFAULT_NAME = "his-adapter.toml"


class Config:
    """Settings with the folder their relative paths are read from."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder

    def path(self, path: Path) -> Path:
        return path if path.is_absolute() else self.folder / path

    @cached_property
    def ledger_path(self) -> Path:
        """Where the SQLite ledger lies.  Raises: ConfigError for a URL of another kind."""
        url = self.settings.ledger.url
        if not url.startswith("sqlite:///"):
            raise ConfigError("ledger.url must be sqlite:///path or postgresql://…")
        return self.path(Path(url.removeprefix("sqlite:///")))

    @property
    def is_shared(self) -> bool:
        """A PostgreSQL ledger, which several replicas may share."""
        return self.settings.ledger.url.startswith("postgresql://")

    @property
    def anchors_path(self) -> Path:
        """The anchors' file; by default beside the ledger and named after it, since each ledger has its own."""
        named = self.settings.ledger.anchors_file
        if named is not None:
            return self.path(named)
        if self.is_shared:
            return self.path(Path("anchors.jsonl"))
        return self.ledger_path.with_name(self.ledger_path.name + ".anchors.jsonl")

    @cached_property
    def master_key_path(self) -> Path:
        return self.path(self.settings.ledger.master_key_file)

    def secrets(self, gateway: GatewaySettings) -> dict[str, Secret]:
        """A gateway's secrets, each from its own file that only the owner can read.  Raises: ConfigError."""
        return {name: read_secret(self.path(path)) for name, path in gateway.secret_files.items()}


def read_secret(path: Path) -> Secret:
    """The text of a secret file.  Raises: ConfigError when it is missing, empty, or others can read it."""
    try:
        text = read_key_file(path, KEY_TEXT_BYTES_MAX).decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"secret file {path.name}: no UTF-8 text") from None
    if not text:
        raise ConfigError(f"secret file {path.name}: empty")
    return Secret(text)


def load_config(path: Path) -> Config:
    """The configuration of one file.  Raises: ConfigError naming every wrong key, with the one that may have been meant."""
    if not path.is_file():
        raise ConfigError(f"no configuration file {path}; see docs/reference/configuration.md")
    faults = _unknown_variables()
    try:
        values = TomlConfigSettingsSource(Settings, path)()
        settings = Settings(**values)
    except ValidationError as error:
        faults += [_fault_line(row["loc"], row["type"], row["msg"]) for row in error.errors(include_input=False)]
    except ValueError as error:
        faults.append(str(error))
    if faults:
        raise ConfigError(f"{path.name}: " + "; ".join(faults)) from None
    return Config(settings, path.resolve().parent)


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    """Every key by its dotted path; the sections of a list (``clients``) and of a table have no index in it."""
    found: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        found[path] = info
        section = section_of(info)
        if section is not None:
            found |= known_keys(section, f"{path}.")
    return found


def section_of(info: FieldInfo) -> type[BaseModel] | None:
    """The section that a key holds, one or a list of them; None for a plain value."""
    wanted = [info.annotation]
    while wanted:
        one = wanted.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        wanted.extend(get_args(one))
    return None


def _fault_line(place: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(map(str, place))
    if not place:
        return message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{path}: no such key{_meant('.'.join(str(one) for one in place if not isinstance(one, int)))}"
    return f"{path}: {message}"


def _meant(path: str) -> str:
    """The known key nearest to a wrong one: the same name in another section, or one spelt nearly so."""
    keys = list(known_keys())
    name = path.rpartition(".")[2]
    same = [key for key in keys if key.rpartition(".")[2] == name]
    near = same or get_close_matches(path, keys, 1, 0.75) or get_close_matches(name, keys, 1, 0.75)
    return f"; did you mean {near[0]}?" if near else ""


def _unknown_variables() -> list[str]:
    """Faults of ``YB_…`` variables that name no key: they would be passed over without a word."""
    keys = known_keys()
    tables = tuple(f"{key}." for key, info in keys.items() if "dict[" in str(info.annotation))
    faults = []
    for name in sorted(os.environ):
        path = name.upper().removeprefix("YB_").lower().replace("__", ".")
        if name.upper().startswith("YB_") and path not in keys and not path.startswith(tables):
            faults.append(f"environment variable {name}: no such key{_meant(path)}")
    return faults
