"""The one composition root: the only package that names a concrete class on both sides of a port."""
