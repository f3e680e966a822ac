"""The accounts: daily reconciliation, the HIS's own books beside ours, clearing and what each region owes, day end, watching."""
