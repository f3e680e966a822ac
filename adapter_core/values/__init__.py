"""Money, moments, errors, secrets, frames, content: the standard library only."""
