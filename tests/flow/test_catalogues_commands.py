"""Catalogues and mapping from the command line, before a real centre: killed downloads, the service in between, codes on a bill."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from adapter_core.bootstrap.machine import SystemClock
from adapter_core.bootstrap.site import catalogue_store
from adapter_core.catalogues import looking
from adapter_core.catalogues.downloads import Downloads, Rules
from adapter_core.catalogues.items import Items, read_items
from adapter_core.cli import catalogues, item_mapping, reading
from adapter_core.cli.asking import asking
from adapter_core.config import Config, load_config
from adapter_core.formats.sheets import write_csv
from adapter_core.ledger.inspection import Reading, export
from adapter_core.ledger.sealing import read_master_key
from adapter_core.simulator.publications import COLUMNS, made_rows
from adapter_core.simulator.server import Simulator
from adapter_core.values.errors import TranslationError
from tests.flow.conftest import opened
from tests.flow.hospital import ORG, Announcing, line, message
from tests.flow.served import configure, served

LAYOUTS = f"[1301]\ncolumns = {json.dumps(list(COLUMNS))}\n"
HEADING = ["定点医药机构目录编号", "定点医药机构目录名称", "目录类别", "医疗目录编码", "开始日期", "结束日期", "金额"]
MAPPED = [HEADING, ["Y001", "测试药品", "101", "XA00000001", "2026-01-01", "2099-12-31", "800"],
          ["Y002", "测试床位", "", "", "", "", "200"]]  # fmt: skip


@pytest.fixture
def site(folder: Path) -> Path:
    """A configured site that knows how the centre's 1301 is laid out, and fills codes in."""
    config = folder / "his-adapter.toml"
    (folder / "layouts.toml").write_text(LAYOUTS, "utf-8")
    config.write_text(config.read_text("utf-8") + '[catalogues]\nlayouts_file = "layouts.toml"\nfill = true\n', "utf-8")
    return config


def mapped(site: Path) -> None:
    with catalogue_store(load_config(site)) as store:
        Items(store, ORG).replace(read_items(MAPPED))


def counts(site: Path, infno: str) -> dict[str, int]:
    with catalogue_store(load_config(site)) as store:
        return dict(looking.compared(store, infno).counts)


def calls(centre: Simulator) -> list[str]:
    return [entry.infno for entry in centre.entries]


async def test_a_catalogue_is_downloaded_and_its_news_told(
    centre: Simulator, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await catalogues.download(site, ["1301"], False, [], False) == 0
    assert "新增 40" in capsys.readouterr().out
    news = [
        (code, name, spec, "0" if code.endswith("1") else valid, "V2")
        for code, name, spec, valid, _ in made_rows("1301", 12)
    ]
    centre.world.published.publish("1301", news)
    assert await catalogues.download(site, ["1301"], False, [], True) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["changed"], told["ended"], told["from_version"], told["version"]) == (
        12,
        10,
        2,
        "V1",
        "V2",
    )
    assert catalogues.show_diff(site, "1301", 0, 5, False) == 0
    assert "停用 2" in capsys.readouterr().out


async def test_the_ledger_keeps_the_digest_of_a_file_and_not_the_file(centre: Simulator, site: Path) -> None:
    centre.world.published.publish("1301", made_rows("1301", 5000))
    await catalogues.download(site, ["1301"], False, [], True)
    config = load_config(site)
    reading_it = Reading(read_master_key(config.master_key_path), "flow tests", SystemClock())
    rows = [row for row in export(config.ledger_path, reading_it) if row["kind"] == "REPLY"]
    sizes = [int(row["data"]["size"]) for row in rows if "size" in row["data"]]
    assert {row["raw"] for row in rows} == {""}
    assert len(sizes) == 2
    assert max(sizes) > 20_000
    assert config.ledger_path.stat().st_size < 1_000_000


async def test_a_refusal_of_one_catalogue_doesnt_stop_the_next(
    centre: Simulator, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    centre.set_rules(Announcing([{"infno": "1302", "actions": ["error(-1,未开放下载)"]}]))
    assert await catalogues.download(site, ["1302", "1305"], False, [], True) == 4
    refused, done = json.loads(capsys.readouterr().out)
    assert (refused["err_msg"], done["added"]) == ("未开放下载", 40)


@pytest.mark.parametrize(
    ("infno", "stops_at", "asked"),
    [("1301", "9102", ["1301", "9102", "9102"]), ("1312", "1312", ["1312", "1312", "1312", "1312"])],
)
async def test_a_killed_download_goes_on(
    centre: Simulator, site: Path, infno: str, stops_at: str, asked: list[str]
) -> None:
    centre.world.published.publish("1312", made_rows("1312", 120))
    second = 2 if infno == "1312" else 1
    centre.set_rules(Announcing([{"infno": stops_at, "nth": second, "actions": ["hang(60)"]}]))
    program = "from adapter_core.cli import main; main()"
    arguments = [sys.executable, "-c", program, "catalogue", "download", infno, "--config", str(site)]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert isinstance(centre.rules, Announcing)
    await centre.rules.arrivals(stops_at, second)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    centre.set_rules(Announcing([]))
    assert await catalogues.download(site, [infno], False, [], True) == 0
    assert calls(centre) == asked
    assert counts(site, infno) == {"added": 120 if infno == "1312" else 40}


async def test_a_bill_gets_its_codes_from_the_mapping(centre: Simulator, site: Path) -> None:
    mapped(site)
    fees = [
        {name: value for name, value in line(one, "10.00").items() if name != "med_list_codg"} for one in ("F1", "F2")
    ]
    async with opened(centre, site.parent) as hospital:
        told = await hospital.say(message(fees=fees))
        assert told.state == "SETTLED", told.text
        again = await hospital.say(message(fees=fees))
        assert again.answer == told.answer
        [visit] = [one for one in centre.world.visits.values() if one.lines and one.kind == "outpatient"]
        assert {row.fields["med_list_codg"] for row in visit.lines.values()} == {"XA00000001"}


async def test_unmapped_items_stop_a_bill_before_anything_is_sent(centre: Simulator, site: Path) -> None:
    mapped(site)
    fees = [{**line("F1", "10.00"), "medins_list_codg": item} for item in ("Y001", "Y002", "Y404", "Y002")]
    fees = [{**row, "feedetl_sn": f"F{number}", "med_list_codg": ""} for number, row in enumerate(fees)]
    async with opened(centre, site.parent) as hospital:
        error = await hospital.refusal(message(fees=fees))
        assert isinstance(error, TranslationError)
        assert error.code == "UNMAPPED_ITEMS"
        assert [fault.got for fault in error.faults] == ["Y002", "Y404"]
        assert "Y002、Y404" in error.message_zh
        assert calls(centre) == []


async def test_the_mapping_is_imported_uploaded_and_covered(
    centre: Simulator, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes(write_csv(MAPPED))
    assert item_mapping.import_items(site, file, False, True) == 0
    assert json.loads(capsys.readouterr().out)["kept"] is False
    item_mapping.import_items(site, file, True, True)
    capsys.readouterr()
    item_mapping.show_coverage(site, "2026-11-21", 10, True)
    found = json.loads(capsys.readouterr().out)
    assert (found["whole"]["share"], found["whole"]["money_share"]) == ("50.00", "80.00")
    assert [one["item"] for one in found["unmapped"]] == ["Y002"]
    assert await item_mapping.upload_items(site, False, True) == 0
    assert calls(centre) == []
    capsys.readouterr()
    assert await item_mapping.upload_items(site, True, True) == 0
    assert json.loads(capsys.readouterr().out) == {"uploaded": 1, "undone": 0, "refused": []}
    assert [key[1] for key in centre.world.published.mapped] == ["Y001"]
    assert item_mapping.export_items(site, tmp_path / "out.xlsx") == 0


async def test_reads_go_page_by_page_and_are_repeated(
    centre: Simulator, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    centre.world.published.publish("1317", made_rows("1317", 60))
    centre.set_rules(Announcing([{"infno": "1317", "nth": 2, "actions": ["drop"]}]))
    asked = ["updt_time=2026-01-01"]
    assert await reading.read_transaction(site, "1317", asked, None, "", True, None, True) == 0
    assert len(json.loads(capsys.readouterr().out)["output"]["data"]) == 60
    assert calls(centre) == ["1317", "1317", "1317"]
    await catalogues.download(site, ["1901"], False, [], True)
    capsys.readouterr()
    await reading.read_transaction(site, "1317", asked, None, "", False, None, False)
    assert "101 西药中成药" in capsys.readouterr().out
    with pytest.raises(TranslationError, match="没有这个字段"):
        await reading.read_transaction(site, "5303", ["nosuch=1"], None, "", False, None, True)


async def test_the_service_answers_reads_pages_files_and_lists(centre: Simulator, tmp_path: Path) -> None:
    centre.world.published.publish("1317", made_rows("1317", 60))
    async with served(centre, configure(tmp_path, centre.url)) as service:
        page = {"updt_time": "2026-01-01", "page_num": 1, "page_size": 100}
        one = await service.post("/v1/transactions/1317", {"input": {"data": page}})
        assert len(one.json()["output"]["data"]) == 50
        whole = await service.post("/v1/transactions/1317", {"input": {"data": page}, "all_pages": True})
        assert len(whole.json()["output"]["data"]) == 60
        got = (await service.post("/v1/transactions/1301", {"input": {"data": {"ver": "0"}}})).json()["output"]["data"]
        names = {"file_qury_no": got["file_qury_no"], "filename": got["filename"], "fixmedins_code": "plc"}
        file = await service.post("/v1/transactions/9102", {"input": {"fsDownloadIn": names}})
        assert file.headers["content-type"] == "application/octet-stream"
        assert file.content.startswith(b"PK")
        unknown = await service.post(
            "/v1/transactions/9102", {"input": {"fsDownloadIn": {**names, "file_qury_no": "W0"}}}
        )
        assert unknown.json()["state"] == "REJECTED"


async def test_an_old_his_downloads_through_the_drop_in(centre: Simulator, tmp_path: Path) -> None:
    async with served(centre, configure(tmp_path, centre.url)) as service:
        envelope = {"infno": "1301", "msgid": "H360100000012026112109000000001", "fixmedins_code": ORG, "opter": "001"}
        asked = {**envelope, "input": {"data": {"ver": "0"}}}
        got = (await service.post("/fsi/api", asked)).json()["output"]["data"]
        names = {"file_qury_no": got["file_qury_no"], "filename": got["filename"], "fixmedins_code": "plc"}
        file = await service.post("/fsi/api", {**envelope, "infno": "9102", "input": {"fsDownloadIn": names}})
        assert file.content.startswith(b"PK")


async def test_a_download_goes_through_a_service_that_runs(centre: Simulator, tmp_path: Path) -> None:
    path = configure(tmp_path, centre.url)
    async with served(centre, path) as running:
        address = running.url.removeprefix("http://")
        site = load_config(tmp_path / "his-adapter.toml")
        settings = site.settings.model_copy(update={"http": site.settings.http.model_copy(update={"listen": address})})
        with catalogue_store(site) as store:
            async with asking(Config(settings, tmp_path)) as ask:
                done = await Downloads(store, ask, Rules(), ORG, "2026-11-21", "now").run("1301")
    assert (done.added, done.version) == (40, "")
