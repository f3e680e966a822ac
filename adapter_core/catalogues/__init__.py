"""Catalogues: what the centre publishes (13xx, 1901), what the hospital's own items are called nationally (3301, 3302), and reading
page by page.  It keeps a file of its own beside the ledger: nothing here is money, and all of it can be had again.
"""
