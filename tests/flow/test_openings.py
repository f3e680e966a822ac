"""The openings list as the insurance office keeps it: looked at, taken over whole, or refused whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapter_core.cli.app import app
from adapter_core.formats.sheets import write_excel
from adapter_core.values.errors import TranslationError
from tests.flow.hospital import config_text

HEADING = ["方案", "参保地", "就医地", "业务", "开始日期", "结束日期", "机构编号"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "his-adapter.toml").write_text(
        'openings_file = "openings.csv"\n' + config_text("http://127.0.0.1:9"), "utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["openings", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_list_is_looked_at_and_then_taken_over(site: Path) -> None:
    rows = [
        HEADING,
        ["national", "3301", "36", "门诊", "2022-01-01", "", ""],
        ["national", "3401", "36", "门诊", "2022-01-01", "", "H9"],
    ]
    (site / "new.xlsx").write_bytes(write_excel(rows, "清单"))
    looked = json.loads(run("import", "new.xlsx", "--json"))
    assert [one["before"] for one in looked["changes"]] == [[], []]
    assert not (site / "openings.csv").exists()
    run("import", "new.xlsx", "--keep")
    assert json.loads(run("import", "new.xlsx", "--json"))["changes"] == []
    assert json.loads(run("show", "--insured", "330100", "--json")) == {
        "scheme": "national",
        "reason": "",
        "credentials": [],
    }
    assert json.loads(run("show", "--insured", "340100", "--json"))["reason"] == "institution_not_open"
    assert json.loads(run("show", "--insured", "320100", "--json"))["reason"] == "not_open"


def test_a_faulty_list_changes_nothing(site: Path) -> None:
    (site / "good.csv").write_text(",".join(HEADING) + "\nnational,33,36,门诊,2022-01-01,,\n", "utf-8")
    run("import", "good.csv", "--keep")
    kept = (site / "openings.csv").read_bytes()
    (site / "bad.csv").write_text(",".join(HEADING) + "\nnational,33,36,体检,2022-01-01,,\n", "utf-8")
    with pytest.raises(TranslationError, match="row 2 业务"):
        run("import", "bad.csv", "--keep")
    assert (site / "openings.csv").read_bytes() == kept
