"""The dialect pages say what the tables say, and a stale one is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_core.bootstrap.site import plugins
from adapter_core.province.table_dialect import TableDialect
from adapter_core.testing import dialect_reference


def test_every_row_of_every_record_is_on_its_dialects_page() -> None:
    pages = dialect_reference.reference_pages()
    loaded = plugins()
    for name in loaded.dialect_names():
        dialect = loaded.dialect(name)
        if not isinstance(dialect, TableDialect):
            continue
        lines = pages[f"{name}.md"].splitlines()
        for message in dialect.table.spec.messages.values():
            assert any(line.startswith(f"| `{message.id}`") and f"| {message.evidence} |" in line for line in lines)
            for record in (*message.ask.records, *message.tell.records):
                start = lines.index(f"## Record `{record.name}`")
                end = next((at for at in range(start + 1, len(lines)) if lines[at].startswith("## ")), len(lines))
                for row in record.rows:
                    said = [line for line in lines[start:end] if f"| {row.title} |" in line]
                    assert any(str(place) in line for line in said for place in row.places), (record.name, row.title)
                    for target in row.targets:
                        assert any(target.field in line for line in said), (record.name, row.title, target.field)


def test_a_stale_a_missing_and_a_left_over_page_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dialect_reference, "FOLDER", tmp_path)
    assert dialect_reference.main([]) == 0
    assert dialect_reference.main(["--check"]) == 0
    page = tmp_path / "jiangxi-neusoft.md"
    page.write_bytes(page.read_bytes().replace("总报销（含账户）".encode(), "总报销".encode()))
    (tmp_path / "shanxi-dblib.md").unlink()
    (tmp_path / "nowhere.md").write_text("", "utf-8")
    assert dialect_reference.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("jiangxi-neusoft.md", "shanxi-dblib.md", "nowhere.md"))
    assert dialect_reference.main([]) == 0
    assert not (tmp_path / "nowhere.md").exists()
