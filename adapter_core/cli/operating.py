"""Commands of whoever runs the service: backup, drill, archive, upgrade, golive."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapter_core.cli.app import EXIT
from adapter_core.cli.examining import examination
from adapter_core.cli.showing import print_json, print_table
from adapter_core.config import Config, load_config
from adapter_core.operations.archive import archive_year, verify_archive
from adapter_core.operations.backup import Progress, back_up, drill
from adapter_core.operations.golive import golive_rows
from adapter_core.operations.upgrade import rehearse, upgrade
from adapter_core.values.errors import ConfigError

BACKUPS = Path("backups")


def backup_folder(config: Config, folder: Path | None) -> Path:
    """Where backups lie unless told otherwise: beside the configuration."""
    return folder or config.path(BACKUPS)


@contextmanager
def bar(what: str) -> Iterator[Progress]:
    """A bar on the error stream while pages are copied."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, of: bars.update(task, completed=done, total=of)


def backup_ledger(config_path: Path, folder: Path | None, as_json: bool) -> int:
    config = load_config(config_path)
    with bar("备份") as progress:
        made = back_up(config, backup_folder(config, folder), progress)
    if as_json:
        print_json({"file": str(made.path), "manifest": str(made.manifest), "bytes": made.bytes, "heads": made.heads})
    else:
        print(f"已备份并核验：{made.path}（{made.bytes // 1024} KB），清单 {made.manifest.name}")
        print("备份只有密文；主密钥另行离线保存，两者缺一不可恢复")
    return EXIT["done"]


def drill_restore(config_path: Path, backup: Path, master_key: Path | None, as_json: bool) -> int:
    done = drill(load_config(config_path), backup, master_key)
    if as_json:
        print_json({name: getattr(done, name) for name in done.__slots__})
        return EXIT["done"]
    print(f"可以恢复：{done.events} 条事件，{done.cases} 笔业务，链条完整，用时 {done.restore_s:.1f} 秒")
    print(f"账本版本 {done.schema_before} → {done.schema_after}；比在用账本少 {done.behind} 条（备份之后新记的）")
    return EXIT["done"]


def archive_ledger(config_path: Path, year: int, folder: Path | None, as_json: bool) -> int:
    config = load_config(config_path)
    made = archive_year(config, year, folder or config.path(Path("archive")))
    if as_json:
        print_json([{"file": str(one.path), "org": one.org, "first": one.first, "last": one.last} for one in made])
    elif made:
        rows = [(one.org, one.year, one.first, one.last, str(one.path)) for one in made]
        print_table("归档（账本不变，归档件可单独核验）", ("机构", "年份", "首条", "末条", "文件"), rows)
    else:
        print(f"{year} 年没有账目")
    return EXIT["done"]


def check_archive(config_path: Path, archive: Path, as_json: bool) -> int:
    """The archive alone; with the site's master key, where there is one, also the seal of its end."""
    from adapter_core.ledger.sealing import read_master_key

    keys = read_master_key(load_config(config_path).master_key_path) if config_path.is_file() else None
    verdict = verify_archive(archive, keys)
    if as_json:
        print_json({"whole": verdict.is_whole, "org": verdict.org, "last": verdict.events, "reason": verdict.reason})
    else:
        found = "完整" if verdict.is_whole else f"第 {verdict.broken_seq} 条起断裂：{verdict.reason}"
        print(f"{verdict.org}：{found}" + ("" if keys else "（未用主密钥核对封印）"))
    return EXIT["done"] if verdict.is_whole else EXIT["damaged"]


def upgrade_site(config_path: Path, rehearsal: bool, folder: Path | None, stop: str, start: str) -> int:
    config = load_config(config_path)
    if rehearsal:
        with bar("复制账本") as progress:
            done = rehearse(config, progress)
        print(f"演练成功：账本版本 {done.before} → {done.after}，链条完整，用时 {done.seconds:.1f} 秒；在用账本未动")
        return EXIT["done"]
    with bar("备份") as progress:
        done = upgrade(config, backup_folder(config, folder), shlex.split(stop), shlex.split(start), progress=progress)
    print(f"升级完成：账本版本 {done.before} → {done.after}，链条完整，用时 {done.seconds:.1f} 秒；备份 {done.backup}")
    if not start:
        print("现在可以启动服务")
    return EXIT["done"]


async def check_golive(config_path: Path, check: bool, folder: Path | None, as_json: bool) -> int:
    """The list; 2 while anything is not green.  What only warns in `doctor` is shown and doesn't count."""
    if not check:
        raise ConfigError("golive only checks: his-adapter golive --check")
    config = load_config(config_path)
    rows = [(row.name, row.green, row.text) for row in await golive_rows(config, backup_folder(config, folder))]
    faults = [
        (f"体检 {name}", False, text) for name, result, text in await examination(config_path) if result == "失败"
    ]
    rows += faults or [("体检", True, "doctor 没有失败项")]
    ready = all(green for _, green, _ in rows)
    if as_json:
        print_json(
            {"ready": ready, "rows": [{"name": name, "green": green, "text": text} for name, green, text in rows]}
        )
    else:
        print_table(
            "上线检查",
            ("项目", "结果", "说明"),
            [(name, "通过" if green else "不通过", text) for name, green, text in rows],
        )
        print("可以上线" if ready else "不能上线：以上不通过的项目处理完再查一次")
    return EXIT["done"] if ready else EXIT["usage"]
