"""Reconciliation, clearing, what each region owes, day end."""
