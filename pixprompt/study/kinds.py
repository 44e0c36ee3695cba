"""What a study varies."""

__all__ = ["KINDS"]

KINDS = ("text", "mapping", "templates", "sizes")
