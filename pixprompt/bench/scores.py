"""What can be read from the result of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DEFAULT_SCORES", "SCORES", "Score"]

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """One number of a result.

    Attributes:
        read: Result -> its values, of several seeds where one run has trained several; none where it was not scored.
        rung: The rung of the ladder that it is, for comparisons image by image.
        is_share: Whether it is a share, to be shown in percent.
    """

    read: Callable[[Result], list[float]]
    rung: str = ""
    is_share: bool = True


def _rung(name: str) -> Score:
    def read(result: Result) -> list[float]:
        search = result.get("search")
        if name == "prompt_float" and search:
            return [float(seed["test"]) for seed in search["seeds"]]
        score = result["accuracy"].get(name)
        return [] if score is None or score["test"] is None else [float(score["test"])]

    return Score(read, name)


def _saved(result: Result) -> list[float]:
    return _rung("prompt_float" if result["best"] == "adapter" else "prompt_png").read(result)


def _at(*path: str, is_share: bool = True) -> Score:
    def read(result: Result) -> list[float]:
        value: Any = result
        for name in path:
            value = None if value is None else value.get(name)
        return [] if value is None else [float(value)]

    return Score(read, is_share=is_share)


SCORES: dict[str, Score] = {
    "own": _rung("prompt_float"),
    "kept": Score(_saved, "prompt_png"),
    "no_prompt": _rung("no_prompt"),
    "output_only": _rung("output_only"),
    "miou": _at("test", "single_scale", "miou"),
    "miou_multi_scale": _at("test", "multi_scale", "miou"),
    "fid": _at("fid", "value", is_share=False),
    "kid": _at("kid", "value", is_share=False),
    "lpips": _at("lpips", "mean", is_share=False),
    "parameters": _at("parameters", is_share=False),
    "queries": _at("queries", "images", is_share=False),
}
"""`own` is what a method learned, kept or not; `kept` what the run saves, which may be no prompt at all."""
DEFAULT_SCORES = {"train": "own", "segment": "miou", "diagnose": "fid"}
"""What is read from the result of each task where a benchmark says nothing."""
