"""The configuration file that `init` writes: every key of the model, commented, the usual ones set.  And its JSON Schema."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adapter_core.config import Settings, known_keys, section_of

SCHEMA_PAGE = Path("docs/reference/config.schema.json")
Value = str | bool | int | float | list[str]
SEVERAL = {
    "institutions": "[[institutions]]",
    "gateways": "[gateways.NAME]",
    "routes": "[[routes]]",
    "cutovers": "[[cutovers]]",
    "accounts.statements": "[accounts.statements.NAME]",
}
"""Sections of a site with several: a new site's file only says that there are such."""
NAMED = (("institution", "institutions"), ("gateway", "gateways"), ("accounts.statement", "accounts.statements"))
"""Where there are several, each has the keys of the one."""


@cache
def notes() -> dict[str, dict[str, str]]:
    """By dotted path: ``note``, and ``example`` where the default is nothing."""
    written = tomllib.loads((files("adapter_core.operations") / "config_notes.toml").read_text("utf-8"))
    same = {
        f"{several}{path[len(one) :]}": note
        for one, several in NAMED
        for path, note in written.items()
        if path.startswith(f"{one}.")
    }
    return {**same, **written}


def config_text(values: Mapping[str, Value], clients: tuple[Mapping[str, Value], ...]) -> str:
    """A whole file as TOML.  values: by dotted path, what is set; every other key stands commented with its default."""
    lines = ["# his-adapter 配置。相对路径从本文件所在目录算起；改后运行 his-adapter doctor 检查。", ""]
    sections = {name: info for name, info in Settings.model_fields.items() if section_of(info) is not None}
    for name, info in Settings.model_fields.items():
        if name not in sections:
            lines += [*_key(name, name, info, values), ""]
    for name, info in sections.items():
        if name in SEVERAL:
            lines += _several(name)
        elif name != "clients":
            lines += _section(name, info, values)
    for client in clients:
        lines += _client(client)
    return "\n".join(lines).rstrip() + "\n"


def _section(path: str, info: FieldInfo, values: Mapping[str, Value]) -> Iterator[str]:
    model = section_of(info)
    assert model is not None
    is_set = info.is_required() or any(key.startswith(f"{path}.") for key in values)
    head = "" if is_set or not _is_optional(info) else "# "
    yield f"# ---- {notes().get(path, {}).get('note', path)}"
    yield f"{head}[{path}]"
    inner = []
    for name, field in model.model_fields.items():
        if section_of(field) is not None:
            inner.append((f"{path}.{name}", field))
            continue
        yield from _key(f"{path}.{name}", name, field, values, head)
    yield ""
    for below, field in inner:
        if below in SEVERAL:
            yield from _several(below)
        else:
            yield from _section(below, field, values)


def _several(path: str) -> list[str]:
    return [f"# ---- {notes()[path]['note']}", f"# {SEVERAL[path]}", ""]


def _is_optional(info: FieldInfo) -> bool:
    return not info.is_required() and info.get_default(call_default_factory=True) is None


def _key(path: str, name: str, info: FieldInfo, values: Mapping[str, Value], head: str = "") -> Iterator[str]:
    yield f"# {notes().get(path, {}).get('note', name)}"
    if path in values:
        yield f"{head}{name} = {toml_value(values[path])}"
        return
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    text = notes().get(path, {}).get("example", '""') if default is None else toml_value(default)
    yield f"# {name} = {text}"


def _client(values: Mapping[str, Value]) -> Iterator[str]:
    model = section_of(Settings.model_fields["clients"])
    assert model is not None
    yield f"# ---- {notes()['clients']['note']}"
    yield "[[clients]]"
    paths = {f"clients.{name}": value for name, value in values.items()}
    for name, info in model.model_fields.items():
        if section_of(info) is None:
            yield from _key(f"clients.{name}", name, info, paths)
    yield ""


def toml_value(value: Any) -> str:
    """A plain value as TOML.  A JSON string is a TOML basic string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(one)}" for key, one in value.items()) + "}"
    return json.dumps(str(value), ensure_ascii=False)


def config_schema() -> dict[str, Any]:
    """JSON Schema of the configuration, each key with its note."""
    schema = Settings.model_json_schema()
    described = notes()
    _describe(schema, Settings, "", described, schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "his-adapter configuration",
        **{name: value for name, value in schema.items() if name != "title"},
    }


def _describe(
    node: dict[str, Any], model: type[BaseModel], prefix: str, described: Mapping[str, Any], definitions: dict[str, Any]
) -> None:
    for name, info in model.model_fields.items():
        name = info.alias or name
        node["properties"][name]["description"] = described.get(f"{prefix}{name}", {}).get("note", "")
        section = section_of(info)
        if section is not None:
            _describe(definitions[section.__name__], section, f"{prefix}{name}.", described, definitions)


def unexplained() -> list[str]:
    """Keys of the model without a note, and notes of no key."""
    return sorted(set(known_keys()) ^ set(notes()))


def main(arguments: list[str]) -> int:
    """Write the published schema, or with ``--check`` say whether it is stale."""
    text = json.dumps(config_schema(), ensure_ascii=False, indent=2) + "\n"
    if arguments == ["--check"]:
        if SCHEMA_PAGE.read_text("utf-8") == text:
            return 0
        print(f"{SCHEMA_PAGE} is stale: run python -m adapter_core.operations.config_file", file=sys.stderr)
        return 1
    SCHEMA_PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
