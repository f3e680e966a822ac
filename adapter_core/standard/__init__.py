"""The national data standard, compiled from ``schemas/national``: transactions, envelope, dictionaries, regions.

``codec(infno)`` reads and writes one transaction, ``transaction(infno)`` tells what its tables say, ``envelope`` is
what goes around it.  Every file is read when first asked for, once.
"""

from __future__ import annotations

from adapter_core.standard.codec import Codec, Reading, codec
from adapter_core.standard.dictionaries import Dictionary, dictionary
from adapter_core.standard.envelope import Response, national_msgid, read_request, read_response, request_envelope
from adapter_core.standard.fields import Field, Node
from adapter_core.standard.regions import Region, is_cross_province, region, same_province
from adapter_core.standard.source import schema_file
from adapter_core.standard.transactions import Transaction, all_infnos, endpoint, file_layout, transaction

__all__ = [
    "Codec",
    "Dictionary",
    "Field",
    "Node",
    "Reading",
    "Region",
    "Response",
    "Transaction",
    "all_infnos",
    "codec",
    "dictionary",
    "endpoint",
    "file_layout",
    "is_cross_province",
    "national_msgid",
    "read_request",
    "read_response",
    "region",
    "request_envelope",
    "same_province",
    "schema_file",
    "transaction",
]
