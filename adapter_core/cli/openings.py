"""``openings``: the site's list of what is open for whom (开通清单), imported with a look at what changes."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

from adapter_core.cli.app import EXIT
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.formats.sheets import read_rows, write_csv
from adapter_core.province.schemes import COLUMNS, Opening, Trip, compared, read_openings, serving
from adapter_core.values.errors import ConfigError


def import_openings(config: Path, file: Path, keep: bool, as_json: bool) -> int:
    """Show what the new list changes; with ``keep`` it becomes the site's.  A faulty list changes nothing."""
    site = load_config(config)
    kept = openings_path(site)
    before = read_site(kept)
    after = read_openings(read_rows(file.read_bytes(), file.name))
    changes = compared(before, after)
    if as_json:
        shown = [{"before": _row(one.before), "after": _row(one.after)} for one in changes]
        print_json({"lines": len(after), "changes": shown, "kept": keep})
    else:
        print_table(
            f"开通清单：{len(before)} 行变为 {len(after)} 行，{len(changes)} 处不同",
            ("", *(words[0] for words in COLUMNS.values())),
            [
                (sign, *_row(one))
                for change in changes
                for sign, one in (("-", change.before), ("+", change.after))
                if one
            ],
        )
    if keep:
        _write(kept, after)
    elif not as_json:
        print("未导入。加 --keep 使用这份清单")
    return EXIT["done"]


def show_serving(config: Path, insured: str, kind: str, day: str, as_json: bool) -> int:
    """Which arrangement serves a person insured there, here, on that day."""
    site = load_config(config)
    institution = site.settings.institution
    trip = Trip(insured, institution.admdvs, kind, day or date.today().isoformat(), institution.fixmedins_code)  # noqa: DTZ011
    found = serving(trip, read_site(openings_path(site)))
    if as_json:
        cards = list(found.scheme.credentials) if found.scheme else []
        print_json(
            {"scheme": found.scheme.name if found.scheme else None, "reason": found.reason, "credentials": cards}
        )
    elif found.scheme:
        print(f"{found.scheme.title}（依据 {found.scheme.evidence}：{found.scheme.source}）")
        if found.scheme.credentials:
            print(f"凭 {'、'.join(found.scheme.credentials)}")
    else:
        print(
            {"not_open": "没有方案为这一参保地、业务和日期开通", "institution_not_open": "已开通，但本机构不在清单上"}[
                found.reason
            ]
        )
    return EXIT["done"]


def openings_path(config: Config) -> Path:
    file = config.settings.openings_file
    if file is None:
        raise ConfigError("set openings_file in the configuration first; see docs/reference/configuration.md")
    return config.path(file)


def read_site(path: Path) -> list[Opening]:
    """The site's list, empty where none was imported yet."""
    return read_openings(read_rows(path.read_bytes(), path.name)) if path.is_file() else []


def _row(opening: Opening | None) -> tuple[str, ...]:
    return tuple(getattr(opening, name) for name in COLUMNS) if opening else ()


def _write(path: Path, openings: list[Opening]) -> None:
    """All of it or nothing: whoever reads meanwhile has the old list."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(write_csv([[words[0] for words in COLUMNS.values()], *map(_row, openings)]))
    os.replace(fresh, path)
