"""Some test images of a run, as the model sees them without and with the prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..canvas import Canvas, Pixels
from ..core import ConfigError, ModelSpec
from ..data import CanvasSet, ImageSet, load_data, make_canvases
from ..engine.config.train_config import run_config
from ..engine.inputs.trust import check_trusted
from ..engine.progress import Reporter
from .run_files import RunFiles

__all__ = ["Sample", "read_sample"]

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Test images, evenly spaced through the split.

    Attributes:
        before: (n, H, W, 3) canvases without prompt.
        after: (n, H, W, 3) with it; of a committee, under its first page.
        further: The same under its further pages.
        labels: (n,) true classes.
        names: (n,) of the images.
        total: Images in the split.
        classes: K names.
        train_labels: Of the training split.
        exact: Whether the canvases without prompt are surely those of the run; the crop of an unknown model is not.
    """

    before: Pixels
    after: Pixels
    labels: Labels
    names: tuple[str, ...]
    total: int
    classes: tuple[str, ...]
    train_labels: Labels
    exact: bool
    further: tuple[Pixels, ...] = ()


def read_sample(run: RunFiles, limit: int, spec: ModelSpec | None, reporter: Reporter) -> Sample:
    """Reads at most `limit` test images of a run.

    Args:
        run: With a prompt.
        limit: At least 1.
        spec: Of the model; without it, a canvas that the prompt shrinks cannot be made exactly as it was without.

    Raises:
        ConfigError: There is no configuration, or no prompt.
        DataError: The images cannot be found or read.
    """
    if run.config is None or not run.pages:
        raise ConfigError("config.json and prompt.png are both needed to find and prompt them.")
    config, prompt = run_config(run.folder), run.pages[0]
    check_trusted({"data": config.data.name}, run.folder)
    data = load_data(config.data.name, seed=config.seed, **config.data.subset)
    places = np.unique(np.linspace(0, len(data.test) - 1, limit).astype(int))
    images = data.test.subset(places)
    plain, exact = prompt.canvas, True
    if prompt.canvas.fit != "resize" or not prompt.canvas.is_basic:
        exact, own = spec is not None, prompt.canvas
        plain = Canvas(own.size, resample=own.resample, aspect=own.aspect, crop_pct=config.data.crop or 1.0)
        if spec is not None:
            plain = Canvas.for_model(spec, crop_pct=config.data.crop, aspect=config.data.aspect)
    under = _canvases(images, prompt.canvas, config.data.workers, reporter)
    before = under if plain == prompt.canvas else _canvases(images, plain, config.data.workers, reporter)
    return Sample(
        before=np.asarray(before.pixels[:]),
        after=prompt.overlay(np.asarray(under.pixels[:])),
        labels=np.array(under.labels),
        names=under.names,
        total=len(data.test),
        classes=data.classes,
        train_labels=np.array(data.train.labels),
        exact=exact,
        further=tuple(
            page.overlay(np.asarray(_canvases(images, page.canvas, config.data.workers, reporter).pixels[:]))
            for page in run.pages[1:]
        ),
    )


def _canvases(images: ImageSet, canvas: Canvas, workers: int, reporter: Reporter) -> CanvasSet:
    reporter.stage("report: read images", len(images))
    return make_canvases(images, canvas, workers=workers, on_image=reporter.advance)
