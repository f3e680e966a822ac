"""The HTTP service a hospital runs beside its HIS (`contracts.md` §§4–5)."""
