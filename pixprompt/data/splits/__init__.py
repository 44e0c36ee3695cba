"""Who is in which split: what the makers of a data set say, or what a seed draws."""

from .draw import SHARE, SPLITS, chosen_parts, draw_shots, hold_out, listed, split

__all__ = ["SHARE", "SPLITS", "chosen_parts", "draw_shots", "hold_out", "listed", "split"]
