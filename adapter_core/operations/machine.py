"""What differs between Linux and Windows for a running service: how it is told to stop, and what its console reads.

The other two seams lie with what they guard: the file lock in `ledger.writer_lock`, key files in `ledger.key_files`.
Type-checked for both: ``mypy --platform win32``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

UTF8_CODE_PAGE = 65001


def on_stop(stop: Callable[[], object]) -> None:
    """From now on ``stop`` is called in the running loop when the process is told to end.

    Linux: SIGTERM, SIGINT.  Windows: Ctrl-C and Ctrl-Break, which is how service wrappers ask a console program to stop; a
    wrapper that only kills leaves recovery to the next start.
    """
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)


def speak_utf8() -> None:
    """Both output streams in UTF-8; a Windows console, which may stand at code page 936, is told so."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8")
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetConsoleOutputCP(UTF8_CODE_PAGE)
