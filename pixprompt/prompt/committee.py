"""A committee: several prompts, each laid on the same image, and one output transform that reads all answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..canvas import MAX_CANVAS_PIXELS, Canvas, Pixels, from_array, to_rgb
from ..core import PromptError
from .prompt import Prompt
from .prompt_file import with_digests, write_prompt_file

__all__ = ["Committee", "Page", "Pages"]


class Page(Protocol):
    """What can be put on an image."""

    @property
    def canvas(self) -> Canvas:
        """What every image is made into first."""
        ...

    def overlay(self, canvases: Pixels, /) -> Pixels:
        """Prompts canvases (..., H, W, 3) uint8."""
        ...


class Pages(Protocol):
    """A prompt, a committee of prompts, or a prompt that differs from image to image."""

    @property
    def pages(self) -> Sequence[Page]:
        """What is put on every image, one result each."""
        ...


@dataclass(frozen=True, eq=False)
class Committee:
    """One or several prompts for the same model, and how all answers about an image become one label.

    The answers under the pages stand side by side: K pages and S outputs make a row of K * S numbers, page by page.

    Attributes:
        pages: The prompts, on canvases of one size; what reads the answers is not theirs, so their `output` is empty.
        output: How the answers become labels: {"kind", "classes", ...}, of K * S outputs.
        cascade: When the first page is enough: {"threshold", "output", ...}, with the `output` that reads the answers
            under it, and the least difference of its two largest probabilities; empty for never.
        model: Name of the model that they were learned for.
        weights_sha256: Digest of the weights file given with that name; empty where there was none.
        version: Of the pixprompt that saved them.
    """

    pages: tuple[Prompt, ...]
    output: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    weights_sha256: str = ""
    seed: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    cascade: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pages:
            raise PromptError("a committee needs at least one prompt.")
        sizes = {page.canvas.size for page in self.pages}
        if len(sizes) > 1:
            raise PromptError(f"the prompts of a committee need canvases of one size, got {sorted(sizes)}.")
        height, width = self.pages[0].canvas.size
        if len(self.pages) * height * width > MAX_CANVAS_PIXELS:
            raise PromptError(
                f"{len(self.pages)} prompts of {height}x{width} pixels are more than the {MAX_CANVAS_PIXELS} pixels "
                "that a prompt file may have."
            )
        pages = tuple(replace(page, output={}, metrics={}, **self._origin) for page in self.pages)
        object.__setattr__(self, "pages", pages)

    @classmethod
    def of(cls, prompt: Prompt) -> Committee:
        """Returns a committee of one."""
        return cls(
            (prompt,),
            output=prompt.output,
            model=prompt.model,
            weights_sha256=prompt.weights_sha256,
            seed=prompt.seed,
            metrics=prompt.metrics,
            version=prompt.version,
        )

    @property
    def _origin(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "seed": self.seed,
            "version": self.version,
        }

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every canvas, in pixels."""
        return self.pages[0].canvas.size

    @property
    def num_params(self) -> int:
        """Learned parameters of all pages."""
        return sum(page.num_params for page in self.pages)

    @property
    def is_empty(self) -> bool:
        """Whether no page changes anything on its canvas."""
        return all(page.is_empty for page in self.pages)

    @property
    def single(self) -> Prompt:
        """The only prompt, with its output transform and metrics.

        Raises:
            PromptError: There are several.
        """
        if len(self.pages) > 1:
            raise PromptError(f"a committee of {len(self.pages)} prompts is no single prompt.")
        return replace(self.pages[0], output=self.output, metrics=self.metrics)

    @overload
    def apply(self, image: Image.Image) -> list[Image.Image]: ...
    @overload
    def apply(self, image: npt.NDArray[Any]) -> list[Pixels]: ...
    def apply(self, image: Image.Image | npt.NDArray[Any]) -> list[Image.Image] | list[Pixels]:
        """Puts every prompt on one image of any size; see `Prompt.apply`."""
        picture = from_array(image) if isinstance(image, np.ndarray) else to_rgb(image)
        canvases = [page.overlay(page.canvas.make(picture)) for page in self.pages]
        return canvases if isinstance(image, np.ndarray) else [Image.fromarray(pixels) for pixels in canvases]

    @cached_property
    def rgba(self) -> Pixels:
        """The pixels of all pages, below one another, (K * H, W, 4) uint8."""
        return np.concatenate([page.rgba for page in self.pages])

    def metadata(self) -> dict[str, Any]:
        """Returns the JSON object of the file, digests included; of a single prompt, what that says.

        Raises:
            PromptError: A field holds what JSON cannot: NaN, or an object of Python.
        """
        if len(self.pages) == 1:
            return self.single.metadata()
        pages = [
            {
                "template": page.template,
                "blend": page.blend,
                "delta_scale": page.delta_scale,
                "canvas": page.canvas.to_json(),
            }
            for page in self.pages
        ]
        values = {"pages": pages, "output": self.output, "metrics": self.metrics, **self._origin}
        return with_digests(2, {**values, **({"cascade": self.cascade} if self.cascade else {})}, self.rgba)

    def save(self, path: str | Path) -> None:
        """Writes one PNG with all pages; a single prompt is the file that `Prompt.save` writes.

        Raises:
            PromptError: The metadata is too large for readers of PNG files.
        """
        write_prompt_file(path, self.rgba, self.metadata())
