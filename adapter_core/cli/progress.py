"""A progress bar on the error stream: what a command answers stays alone on the other one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, int, str], None]
"""``(done, whole, doing)``; whole 0: nobody knows how much there is; doing: what goes on just now."""


@contextmanager
def bar(title: str, unit: str = "行", quiet: bool = False) -> Iterator[Tell]:
    """A bar as long as the context; quiet: none, for programs."""
    if quiet:
        yield lambda done, whole, doing: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}"), TextColumn(unit), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)

        def tell(done: int, whole: int, doing: str) -> None:
            progress.update(task, completed=done, total=whole or None, description=f"{title} {doing}".rstrip())

        yield tell
