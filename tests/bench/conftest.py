"""The toy task of the commands."""

from ..cli.conftest import blank_pictures, drawn, toy

__all__ = ["blank_pictures", "drawn", "toy"]
