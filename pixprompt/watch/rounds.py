"""A watch: the answers of the beginning in a file, and rounds that are compared with them."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..canvas import decode
from ..core import ConfigError, PixpromptError
from ..engine import Deployed
from ..files import read_json, write_json
from .drift import Comparison, Shares, alarm_level, compare, to_shares

__all__ = ["Round", "Watch"]

_SCHEMA = 1


@dataclass(frozen=True)
class Round:
    """One round of a watch.

    Attributes:
        number: Counted from 1, over all sessions.
        comparison: With the answers of the beginning.
        level: Below which the p-value is an alarm.
    """

    number: int
    comparison: Comparison
    level: float

    @property
    def alarm(self) -> bool:
        """Whether the model has changed."""
        return self.comparison.p_value < self.level

    def to_json(self) -> dict[str, Any]:
        """Returns what is said about it."""
        return {"round": self.number, **asdict(self.comparison), "level": self.level, "alarm": self.alarm}


class Watch:
    """Asks a model about the same images again and again.

    The answers of the beginning are asked for, twice, where the file does not hold them.

    Args:
        baseline: The file with the answers of the beginning, and the number of rounds since then.
        alpha: The probability of ever giving an alarm about an unchanged model.
        tolerance: See `compare`.
        clock: Seconds since 1970; tells the queries of rounds apart in a ledger.

    Raises:
        BudgetError: The answers of the beginning cost more than the budget has left.
        ConfigError: `alpha` is no probability, there are too few images, or the file belongs to others.
        PixpromptError: The file is damaged.
    """

    def __init__(
        self,
        deployed: Deployed,
        images: Sequence[Path],
        baseline: Path,
        *,
        alpha: float = 0.01,
        tolerance: float = 1e-3,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha is a probability between 0 and 1, got {alpha}.")
        least = next(num for num in range(1, 1000) if 0.5**num < alarm_level(alpha, 1))
        if len(images) < least:
            raise ConfigError(f"with {len(images)} images no change could be told; take at least {2 * least}.")
        self._deployed, self._alpha, self._tolerance, self._clock = deployed, alpha, tolerance, clock
        pictures = [decode(path) for path in images]
        self._views = [
            page.overlay(np.stack([page.canvas.make(picture) for picture in pictures]))
            for page in deployed.prompt.pages
        ]
        self._file, self._last = baseline, 0.0
        self._identity = {
            "model": deployed.model.identity,
            "canvases": hashlib.sha256(b"".join(view.tobytes() for view in self._views)).hexdigest(),
        }
        self._values = self._load() if baseline.exists() else self._begin()
        self._first, self._second = (_from_json(self._values[name]) for name in ("first", "second"))

    @property
    def num_images(self) -> int:
        """Of a round."""
        return len(self._views[0])

    @property
    def queries_per_round(self) -> int:
        """Images times views."""
        return self.num_images * len(self._views)

    def ask(self) -> Round:
        """Asks about all images once, compares, and counts the round.

        Raises:
            BudgetError: It costs more than the budget has left; the round does not count.
            EndpointError: The model no longer answers; the round does not count.
        """
        new = self._answers()
        number = int(self._values["rounds"]) + 1
        self._values = {**self._values, "rounds": number}
        write_json(self._file, self._values)
        first, second, new = _as_wide(self._first, self._second, new)
        difference = compare(first, second, new, tolerance=self._tolerance)
        return Round(number, difference, alarm_level(self._alpha, number))

    def _begin(self) -> dict[str, Any]:
        self._deployed.model.require(2 * self.queries_per_round)
        first, second = self._answers(), self._answers()
        values = {"schema": _SCHEMA, "identity": self._identity, "rounds": 0}
        values |= {"first": _to_json(first), "second": _to_json(second)}
        write_json(self._file, values)
        return values

    def _load(self) -> dict[str, Any]:
        try:
            values: dict[str, Any] = read_json(self._file)
            if values["schema"] != _SCHEMA or type(values["rounds"]) is not int:
                raise ValueError(f"schema {values['schema']!r}")
            identity, _, _ = values["identity"], values["first"], values["second"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PixpromptError(f"{self._file} is no baseline of a watch ({error}). Choose another file.") from error
        if identity != self._identity:
            raise ConfigError(
                f"{self._file} is the baseline of another prompt, model or set of images. Choose another file, or "
                "delete it to begin again."
            )
        return values

    def _answers(self) -> Shares:
        """Queries the model about all images under each view, whatever a ledger holds of them; (N, V, S)."""
        # A replicate of its own for each time, in milliseconds.
        self._last = max(self._last + 1, round(1000 * self._clock()))
        model, device = self._deployed.model, self._deployed.device
        model.require(self.queries_per_round)
        rows = []
        for view in self._views:
            parts = range(0, len(view), model.chunk)
            answers = [model.query_pixels(view[s : s + model.chunk], device, replicate=int(self._last)) for s in parts]
            rows.append(np.concatenate(answers))
        return to_shares(np.concatenate(rows, axis=1), len(rows), model.spec.answer)


def _as_wide(*answers: Shares) -> list[Shares]:
    """Pads answers of a vocabulary that has grown with zeros for what it did not know."""
    widest = max(each.shape[2] for each in answers)
    return [np.pad(each, ((0, 0), (0, 0), (0, widest - each.shape[2]))) for each in answers]


def _to_json(shares: Shares) -> dict[str, Any]:
    text = base64.b64encode(shares.astype("<f4").tobytes()).decode()
    return {"shape": list(shares.shape), "base64": text}


def _from_json(values: dict[str, Any]) -> Shares:
    try:
        content = base64.b64decode(values["base64"], validate=True)
        outputs: npt.NDArray[np.float64] = np.frombuffer(content, "<f4").reshape(values["shape"]).astype(np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise PixpromptError(f"the baseline of the watch is damaged ({error}). Delete it to begin again.") from error
    return outputs
