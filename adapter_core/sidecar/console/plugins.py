"""Provinces and plugins: what is loaded, what it can do, how its way out is; a playground for messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from litestar import Response, get, post

from adapter_core.formats.text import decode_text, encode_text
from adapter_core.province.messages import Operation
from adapter_core.sidecar.access import Right
from adapter_core.sidecar.console.counter import HOME, Asked, Counter, counter_of, looked, page, posted, text_of, visitor
from adapter_core.sidecar.console.today import board
from adapter_core.standard.records import field_title
from adapter_core.values.errors import AdapterError, Fault, TranslationError

PROVINCES = f"{HOME}/provinces"
TRANSLATE = f"{HOME}/translate"
MESSAGE_MAX = 200_000
