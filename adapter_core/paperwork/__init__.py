"""Paperwork: what a patient brings home when direct settlement was impossible, and the receipts of what was settled.

The states of a paper case are `settlement.papers`; here its documents are made: checklists, sheets, seals, PDF.
"""
