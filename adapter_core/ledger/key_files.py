"""Key files: who else could read one, and that nothing of a key is written when a process dies.

On POSIX a key file belongs to the service and to nobody else; the one exception is a file that root lent to the service's group,
as Kubernetes mounts a secret.  On Windows no group of everybody may stand in its access list.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from adapter_core.values.errors import ConfigError

KEY_TEXT_BYTES_MAX = 64 * 1024
"""Of a token, a secret or a PEM."""

WIDE_GROUPS = {
    "WD": "Everyone", "S-1-1-0": "Everyone", "AN": "Anonymous", "S-1-5-7": "Anonymous", "AU": "Authenticated Users",
    "S-1-5-11": "Authenticated Users", "BU": "Users", "S-1-5-32-545": "Users", "BG": "Guests", "S-1-5-32-546": "Guests",
    "IU": "Interactive", "S-1-5-4": "Interactive", "NU": "Network", "S-1-5-2": "Network", "DU": "Domain Users", "DG": "Domain Guests",
}  # fmt: skip
"""Trustees of a Windows access list that stand for more people than the service, as SDDL writes them."""

_ENTRY = re.compile(r"\(([^;()]*);[^;()]*;[^;()]*;[^;()]*;[^;()]*;([^;()]*)[;)]")
_ALLOWS = {"A", "OA", "XA", "ZA"}


def read_key_file(path: Path, bytes_max: int) -> bytes:
    """At most ``bytes_max`` bytes of a key file.  Raises: ConfigError when it is missing, or others can read it."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(bytes_max)
    except OSError as exc:
        raise ConfigError(f"the key file {path} can't be read: {exc.strerror}") from exc
    complaint = _complaint(path, found)
    if complaint:
        raise ConfigError(f"the key file {path}: {complaint}")
    return content


def posix_complaint(mode: int, owner: int, user: int) -> str:
    """What is wrong with a key file's mode, for the user who reads it; "" when nothing is."""
    lent_by_root = owner == 0 and user != 0 and not mode & (stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO)
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not lent_by_root:
        return "others can read it; chmod 600"
    return ""


def windows_complaint(sddl: str) -> str:
    """What is wrong with a key file's access list, in Windows' own text form (SDDL); "" when nothing is."""
    _, found, entries = sddl.partition("D:")
    if not found or entries.startswith("NO_ACCESS_CONTROL"):
        return "it has no access list; icacls FILE /inheritance:r /grant:r SERVICE:R"
    for kind, trustee in _ENTRY.findall(entries):
        if kind in _ALLOWS and (trustee in WIDE_GROUPS or trustee.endswith(("-513", "-514"))):
            group = WIDE_GROUPS.get(trustee, "a domain's users")
            return f"{group} can read it; icacls FILE /inheritance:r /grant:r SERVICE:R"
    return ""


def forbid_core_dumps() -> None:
    """A core dump holds the keys and whoever was being served.  Windows writes none by itself."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    def _complaint(path: Path, found: os.stat_result) -> str:
        return windows_complaint(_access_list(path))

    def _access_list(path: Path) -> str:
        """The owner and access list of a file as SDDL.  Raises: ConfigError."""
        file_object, owner_and_list = 1, 0x1 | 0x4
        descriptor = ctypes.c_void_p()
        advapi = ctypes.WinDLL("advapi32", use_last_error=True)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.LocalFree.argtypes = [ctypes.c_void_p]
        refused = advapi.GetNamedSecurityInfoW(
            wintypes.LPCWSTR(str(path)), file_object, owner_and_list, None, None, None, None, ctypes.byref(descriptor)
        )
        if refused:
            raise ConfigError(f"the access list of {path} can't be read: Windows error {refused}")
        text = wintypes.LPWSTR()
        try:
            if not advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor, 1, owner_and_list, ctypes.byref(text), None
            ):
                raise ConfigError(f"the access list of {path} can't be read: Windows error {ctypes.get_last_error()}")
            return text.value or ""
        finally:
            kernel.LocalFree(ctypes.cast(text, ctypes.c_void_p))
            kernel.LocalFree(descriptor)

else:

    def _complaint(path: Path, found: os.stat_result) -> str:
        return posix_complaint(found.st_mode, found.st_uid, os.geteuid())
