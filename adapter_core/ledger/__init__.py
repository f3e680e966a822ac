"""The journal and its projections: `SqliteLedger` on disk, `MemoryLedger` for tests and simulation.

Nothing is imported here: opening an existing ledger loads no SQLAlchemy (half a second of CPU).
"""
