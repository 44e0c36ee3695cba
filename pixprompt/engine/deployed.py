"""Using a saved prompt: scoring it on a data set, and reading labels off new images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core import ConfigError, ImageError, Model, OutputTransform, PromptError
from ..data import Data, ImageSet, load_data, load_images
from ..models import Counted, load_model
from ..outputs import output_from_json
from ..prompt import Prompt, load
from .answers import ask_all, batches, score, to_images
from .build import canvases_of, pick_device
from .config import TrainConfig, run_config
from .plan import cost
from .report import Reporter, Silent
from .result import Result, peak_memory_mb

__all__ = ["Deployed", "deploy", "evaluate", "predict"]


@dataclass(frozen=True)
class Deployed:
    """A saved prompt with the model that it is for and the transform of its answers."""

    prompt: Prompt
    model: Counted
    output: OutputTransform
    config: TrainConfig | None
    device: str


def deploy(
    source: str | Path, *, model: str | Model | None = None, weights: str | None = None, device: str = "auto"
) -> Deployed:
    """Loads a prompt and its model.

    Args:
        source: A prompt PNG or a run directory.
        model: A name, or a model; the one that the prompt was learned for by default.
        weights: Weights file of a model given by name.
        device: Where the model runs.

    Raises:
        PromptError: The prompt does not fit the model.
    """
    path = Path(source)
    config = run_config(path) if path.is_dir() else None
    prompt, place = load(path / "prompt.png" if path.is_dir() else path), pick_device(device)
    if model is None and config is not None:
        model, weights = config.model, weights or config.weights
    if model is None or isinstance(model, str):
        model = load_model(model or prompt.model, weights=Path(weights) if weights else None, device=place)
    if model.spec.image_size != prompt.canvas.size:
        raise PromptError(
            f"the prompt is made for canvases of {prompt.canvas.size[0]}x{prompt.canvas.size[1]} pixels, but "
            f"{model.spec.name} takes {model.spec.image_size[0]}x{model.spec.image_size[1]}. Learn one for this model."
        )
    if not prompt.output:
        raise PromptError(f"{path}: the prompt does not say how answers become labels; it can only be applied.")
    output = output_from_json(prompt.output, spec=model.spec).to(place)
    return Deployed(prompt, Counted(model), output, config, place)


def evaluate(
    source: str | Path,
    *,
    model: str | Model | None = None,
    weights: str | None = None,
    data: str | Data | None = None,
    device: str = "auto",
    workers: int = 2,
    price_per_1000: float | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Scores a saved prompt on the validation and test splits of a data set.

    Splits that are drawn are drawn with the prompt's own seed, so the images it learned from stay out of the test.

    Args:
        source: A prompt PNG or a run directory.
        model: See `deploy`.
        weights: See `deploy`.
        data: A name or a data set; with a run directory, that of the run by default.
        device: Where the model runs.
        workers: Threads that decode images.
        price_per_1000: To report the cost.
        reporter: Hears about progress.

    Raises:
        ConfigError: No data set is named, or its classes are not those of the prompt.
    """
    began, reporter = time.perf_counter(), reporter or Silent()
    deployed = deploy(source, model=model, weights=weights, device=device)
    prompt, config = deployed.prompt, deployed.config
    if data is None and config is not None:
        data = config.data
    if data is None:
        raise ConfigError("a prompt PNG does not name its data; say which with --data.")
    if isinstance(data, str):
        data = load_data(data, seed=prompt.seed, shots=config.shots if config else None)
    if tuple(data.classes) != tuple(deployed.output.classes):
        raise ConfigError(
            f"the prompt tells {len(deployed.output.classes)} classes apart ({', '.join(deployed.output.classes[:5])}, "
            f"...), the data set has {len(data.classes)} ({', '.join(data.classes[:5])}, ...)."
        )
    answered = []
    for name, images in (("val", data.val), ("test", data.test)):
        canvases = canvases_of(images, prompt.canvas, workers, reporter, f"read {name}")
        reporter.stage(f"score {name}", len(canvases.labels))
        answered.append(
            ask_all(deployed.model, canvases, device=deployed.device, overlay=prompt.overlay, reporter=reporter)
        )
    return Result(
        method="pixel",
        model=deployed.model.spec.name,
        data=data.name,
        classes=data.classes,
        counts={"train": len(data.train), "val": len(answered[0].labels), "test": len(answered[1].labels)},
        parameters=int((prompt.rgba[..., 3] > 0).sum()) * 3,
        seed=prompt.seed,
        accuracy={
            "no_prompt": None,
            "output_only": None,
            "prompt_float": None,
            "prompt_png": score(deployed.output, *answered),
        },
        queries={
            "images": deployed.model.images,
            "requests": deployed.model.requests,
            "cached": 0,
            "retried": 0,
            "cost": cost(deployed.model.images, price_per_1000),
        },
        best="none" if prompt.template["name"] == "none" else "prompt",
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(deployed.device),
        notes=["The other rungs need the training answers; they are in the run's result.json."],
    )


def predict(deployed: Deployed, inputs: list[str], *, top: int = 5, batch_size: int = 32) -> Iterator[dict[str, Any]]:
    """Yields one object per image, in order: {"path", "label", "probability", "top"} or {"path", "error"}.

    Args:
        deployed: From `deploy`.
        inputs: Image files and folders.
        top: How many classes to list.
        batch_size: Images per request.
    """
    for name in inputs:
        images = load_images(name)
        for part in batches(len(images), batch_size):
            yield from _predict_batch(deployed, images, range(part.start, part.stop), top)


@torch.no_grad()
def _predict_batch(deployed: Deployed, images: ImageSet, chosen: range, top: int) -> Iterator[dict[str, Any]]:
    canvases: dict[int, Any] = {}
    errors: dict[int, str] = {}
    for index in chosen:
        try:
            canvases[index] = deployed.prompt.canvas.make(images.open(index))
        except ImageError as error:
            errors[index] = str(error)
    shares: Iterator[list[float]] = iter(())
    if canvases:
        prompted = deployed.prompt.overlay(np.stack(list(canvases.values())))
        logits = deployed.output(deployed.model(to_images(prompted, deployed.device)).float())
        shares = iter(logits.double().softmax(1).cpu().tolist())
    for index in chosen:
        if index in errors:
            yield {"path": images.names[index], "error": errors[index]}
            continue
        named = sorted(zip(next(shares), deployed.output.classes, strict=True), reverse=True)[:top]
        yield {
            "path": images.names[index],
            "label": named[0][1],
            "probability": round(named[0][0], 6),
            "top": [{"label": label, "probability": round(share, 6)} for share, label in named],
        }
