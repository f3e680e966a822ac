"""Writes the support table of a folder of plugins: what was probed, not what was typed.

    python -m adapter_core.testing.support plugins > docs/reference/provinces.md

Takes a minute or two: every plugin's whole contract is run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from adapter_core.province.capabilities import Capabilities
from adapter_core.testing.checking import Report, check_plugin

HEAD = """\
# Provinces: what is supported

Made by `python -m adapter_core.testing.support plugins`, which runs every plugin's whole contract before the simulated centre: do not
edit. Evidence: E read in a public source (E2: in two), D deduced, N nothing public; after it what is not known. Real centres differ:
a table can't replace the acceptance test of your own province.
"""


def page(reports: Iterable[Report]) -> str:
    """The page.  A check that failed is a line of its own: nobody has to look for it."""
    return HEAD + "".join(_province(report) for report in reports)


def _province(report: Report) -> str:
    counted = report.counted()
    lines = [
        f"\n## {report.title} (`{report.plugin}`)\n",
        f"{counted['passed']} checks passed, {counted['failed']} failed, {counted['skipped']} skipped.\n",
    ]
    lines += [f"- **failed**: `{one.name}`" for one in report.failed]
    if report.dialects:
        lines += ["| dialect | message | does | name | evidence |", "|---|---|---|---|---|"]
        lines += [
            f"| `{name}` | {one['message']} | {one['verb']} | {one['title']} | {one['evidence']} |"
            for name, messages in report.dialects.items()
            for one in messages
        ]
        lines.append("")
    for name, gateway in report.gateways.items():
        usual = Capabilities()
        declared = {key: value for key, value in gateway["capabilities"].items() if value != getattr(usual, key)}
        told = ", ".join(f"{key} = {value}" for key, value in declared.items()) or "the careful defaults"
        lines += [f"Gateway `{name}` ({gateway['evidence']}): {told}.\n", "| story | shown |", "|---|---|"]
        lines += [f"| {story} | {shown} |" for story, shown in gateway["scenarios"].items()]
        lines.append("")
    lines += [f"- 不支持：{gap}" for gap in report.not_supported]
    return "\n".join(lines).rstrip() + "\n"


def main(folder: str) -> None:
    reports = []
    for plugin in sorted(Path(folder).iterdir()):
        if (plugin / "pyproject.toml").is_file():
            sys.stderr.write(f"{plugin.name} …\n")
            reports.append(check_plugin(str(plugin)))
    sys.stdout.write(page(reports))


if __name__ == "__main__":
    main(sys.argv[1])
