"""What a run reports: scores with intervals, the ladder, the result object (schema 1)."""

from __future__ import annotations

import json
import math
import resource
import sys
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ConfigError, PixpromptError
from ..files import read_json
from ..intervals import paired_difference, wilson
from ..ledger.querier import Querier
from ..version import __version__

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "RUNGS",
    "TITLES",
    "Change",
    "Result",
    "Score",
    "cost",
    "none_kept",
    "paired_change",
    "peak_memory_mb",
    "query_counts",
    "read_result",
    "wilson",
]

TITLES = {
    "no_prompt": "no prompt",
    "output_only": "no prompt, best output transform",
    "prompt_float": "prompt as trained",
    "prompt_png": "prompt re-read from PNG",
}
"""What the rungs of a ladder are called."""
RUNGS = tuple(TITLES)


@dataclass(frozen=True)
class Score:
    """Accuracy of one rung.

    Attributes:
        val: On the validation split; None where it was not queried.
        test: On the test split; None where it was not queried.
        ci95: Wilson interval of the test accuracy.
        output: Kind of the output transform that gave it.
    """

    val: float | None
    test: float | None
    ci95: tuple[float, float] | None
    output: str


@dataclass(frozen=True)
class Change:
    """How the test accuracy changes from one rung to another, on the images that were answered for both.

    Attributes:
        before: Rung.
        after: Rung.
        gained: Images that are right after and wrong before.
        lost: Images that are wrong after and right before.
        share: (gained - lost) / images, in [-1, 1].
        ci95: Its 95% paired interval; see `intervals.paired_difference`.
    """

    before: str
    after: str
    gained: int
    lost: int
    images: int
    share: float
    ci95: tuple[float, float]

    def __str__(self) -> str:
        low, high = (100 * end for end in self.ci95)
        chance = ", which may be chance" if low <= 0 <= high else ""
        return f"{100 * self.share:+.1f} points (95% paired interval {low:+.1f} to {high:+.1f}{chance})"


def paired_change(rungs: tuple[str, str], before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Change:
    """Compares two rungs by the images that each reads right, both (N,), N > 0."""
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    both, images = int((before & after).sum()), len(before)
    interval = paired_difference(gained, lost, both, images)
    return Change(*rungs, gained, lost, images, (gained - lost) / images, interval)


@dataclass(frozen=True)
class Result:
    """The result object of interface.md; `to_json` gives it in that form.

    Attributes:
        best: What the saved PNG holds: "prompt", or "none" where no prompt validated as well or better; "adapter" of a
            white-box method, for which no PNG is written.
        max_pixel_difference: Largest difference, in 8-bit steps, between the test images as prompted in memory and
            through the re-read PNG; None where the prompt in memory is not an 8-bit one.
        adapter: Of a white-box method: parameters tuned, stored and of the backbone, and the first over the last.
        search: Of `--search`: trials, choice and seeds.
        views: Of a race of views: those that were chosen, the evidence for them, and the rungs of the race.
        searched: Whether a prompt or an adapter was looked for at all.
        changes: From the rungs without a prompt to what the run saves, with paired intervals.
        student: Of `--student`: what the local model learned from, what it reaches alone and in front of the paid one.
    """

    method: str
    model: str
    data: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    parameters: int
    seed: int
    accuracy: dict[str, Score | None]
    queries: dict[str, Any]
    best: str = "prompt"
    max_pixel_difference: int | None = None
    train_images_per_second: float = 0.0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    notes: list[str] = field(default_factory=list)
    adapter: dict[str, Any] | None = None
    search: dict[str, Any] | None = None
    views: dict[str, Any] | None = None
    searched: bool = True
    changes: tuple[Change, ...] = ()
    student: dict[str, Any] | None = None

    @property
    def none_kept(self) -> str | None:
        """Says that no prompt was kept, and whether none was looked for or none won; None where one was kept."""
        return none_kept(self.searched) if self.best == "none" else None

    def _repr_html_(self) -> str:
        """Returns the ladder as the table that a notebook shows."""
        rows = "".join(
            f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{_format(rung.val)}</td><td>{_format(rung.test)}</td>"
            f"<td>{escape(rung.output)}</td></tr>"
            for name, rung in self.accuracy.items()
            if rung is not None
        )
        rows += "".join(
            f"<tr><td>{escape(TITLES[change.after])} against {escape(TITLES[change.before])}</td>"
            f'<td colspan="3">{escape(str(change))}</td></tr>'
            for change in self.changes
        )
        head = "<tr><th>accuracy</th><th>val</th><th>test</th><th>output</th></tr>"
        title = f"{self.method} on {self.model}, {self.data}: {self.parameters} parameters"
        return f"<table><caption>{escape(title)}</caption>{head}{rows}</table>"

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON object."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists, as a reader gets them
        return {"schema": 1, "pixprompt_version": __version__, **values}


def none_kept(searched: bool) -> str:
    """Says that no prompt was kept, and why."""
    return f"no prompt kept: none {'won' if searched else 'looked for'}"


def _format(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"


def read_result(path: Path) -> Result:
    """Reads a result.json.

    Raises:
        PixpromptError: It is damaged, or of another schema.
    """
    try:
        values = read_json(path)
        if values.pop("schema") != 1:
            raise PixpromptError(f"{path} has another schema; this version reads schema 1. Update pixprompt.")
        values.pop("pixprompt_version")
        values["classes"] = tuple(values["classes"])
        for rung, score in values["accuracy"].items():
            if score is not None:
                score["ci95"] = score["ci95"] and tuple(score["ci95"])
                values["accuracy"][rung] = Score(**score)
        changes = [Change(**{**change, "ci95": tuple(change["ci95"])}) for change in values.get("changes", ())]
        return Result(**{**values, "changes": tuple(changes)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PixpromptError(f"{path} is damaged ({error}). Delete it to score the run again.") from error


def peak_memory_mb(device: str) -> float:
    """Returns the most memory that this process (on a GPU: its tensors) held so far, in MiB."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def query_counts(querier: Querier, price_per_1000: float | None) -> dict[str, Any]:
    """Returns the `queries` of a result object."""
    totals = querier.totals()
    names = ("images", "requests", "cached", "retried")
    counts = {**{name: getattr(totals, name) for name in names}, "cost": cost(totals.images, price_per_1000)}
    if totals.in_doubt:
        counts |= {"in_doubt": totals.images_in_doubt, "skipped": totals.skipped}
    return counts


def cost(images: int, price_per_1000: float | None) -> float | None:
    """Returns the price of queries, in the currency of the price; None without a price.

    Raises:
        ConfigError: The price is negative or no number.
    """
    if price_per_1000 is not None and not 0 <= price_per_1000 < math.inf:
        raise ConfigError(f"a price per 1000 queries must be at least 0, got {price_per_1000}.")
    return None if price_per_1000 is None else round(images * price_per_1000 / 1000, 4)
