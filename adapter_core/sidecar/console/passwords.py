"""Passwords of the console's users: what is strong enough, and their slow salted hash."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import string

LENGTH_MIN = 10
LENGTH_MAX = 128
KINDS_MIN = 3
COST, BLOCK, LANES = 1 << 15, 8, 1
"""scrypt's parameters: 32 MB and about 0.1 s for each try."""
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^a-zA-Z0-9]"))
_WORN = ("password", "qwerty", "abc123", "admin", "123456", "654321", "111111", "000000", "888888", "666666", "yibao")
"""What every list of tried passwords begins with."""
_LETTERS = string.ascii_letters.translate(str.maketrans("", "", "lIO"))
_DIGITS = "23456789"


def weakness(password: str, name: str) -> str:
    """Why a password is refused, for the person who chose it; "" when it is strong enough."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return f"密码须为 {LENGTH_MIN} 到 {LENGTH_MAX} 个字符"
    if sum(bool(kind.search(password)) for kind in _KINDS) < KINDS_MIN:
        return "密码须含大写字母、小写字母、数字、符号中的至少三种"
    low = password.lower()
    if name.lower() in low or any(word in low for word in _WORN) or len(set(password)) < LENGTH_MIN // 2:
        return "密码过于常见，或含有用户名"
    return ""


def hashed(password: str, cost: int = COST) -> str:
    """``scrypt$cost$block$lanes$salt$hash``, the last two in hex.  Takes a moment: beside the event loop."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, cost, BLOCK, LANES)
    return "$".join(("scrypt", str(cost), str(BLOCK), str(LANES), salt.hex(), digest.hex()))


def fits(password: str, stored: str) -> bool:
    """Takes as long for a wrong password as for the right one, and as long for nobody's (``stored`` "")."""
    salt, wanted, numbers = b"\0" * 16, b"", (COST, BLOCK, LANES)
    if stored:
        _, cost, block, lanes, salt_hex, hash_hex = stored.split("$")
        salt, wanted, numbers = bytes.fromhex(salt_hex), bytes.fromhex(hash_hex), (int(cost), int(block), int(lanes))
    return hmac.compare_digest(_scrypt(password[:LENGTH_MAX], salt, *numbers), wanted)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    memory = 256 * cost * block + 1024 * 1024
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=memory, dklen=32)


def first_password() -> str:
    """A strong one without letters that are easily mistaken; its owner must choose another."""
    while True:
        made = "-".join("".join(secrets.choice(_LETTERS + _DIGITS) for _ in range(4)) for _ in range(4))
        if not weakness(made, "\0"):
            return made
