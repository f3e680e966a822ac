"""Manual reimbursement (手工报销) and the receipts of what was settled."""
