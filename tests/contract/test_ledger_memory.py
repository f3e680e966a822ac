from __future__ import annotations

import pytest

from adapter_core.ledger.memory import MemoryLedger
from adapter_core.settlement.ports import Ledger

from .ledger_contract import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return MemoryLedger()
