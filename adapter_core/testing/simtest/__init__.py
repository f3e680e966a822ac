"""Deterministic simulation: the whole settlement core under virtual time, one hostile hospital day per seed."""
