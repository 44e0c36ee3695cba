"""Studies: the same run over several settings and seeds."""

__all__ = ["KINDS"]

KINDS = ("text", "mapping", "templates", "sizes")
