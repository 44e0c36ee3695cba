"""Using a saved prompt: scoring it on a data set, and reading labels off new images."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core import ConfigError, ImageError, Model, OutputTransform, PromptError, UnknownName
from ..data import Data, ImageSet, join, load_data, load_images
from ..files import file_sha256
from ..models import Counted, Opaque, load_model
from ..outputs import output_from_json
from ..prompt import Prompt, load
from .answers import Pixels, ask_all, batches, reproducible, score, to_images
from .build import canvases_of, device_of, pick_device, plain_canvas
from .config import TrainConfig, run_config
from .coordinators import ADAPTER_FILE, PerImagePrompt, load_per_image
from .plan import query_counts
from .report import Reporter, Silent
from .result import RUNGS, Result, Score, peak_memory_mb, read_result

__all__ = ["Deployed", "deploy", "evaluate", "predict"]


@dataclass(frozen=True)
class Deployed:
    """A saved prompt with the model that it is for and the transform of its answers."""

    prompt: Prompt | PerImagePrompt
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
        ConfigError: No model is named, and the prompt PNG asks for Python code.
        PromptError: The prompt does not fit the model.
    """
    path = Path(source)
    config = run_config(path) if path.is_dir() else None
    if config is not None and not (path / "result.json").exists():
        raise ConfigError(f"{path} is not finished; finish the run with: pixprompt train --resume {path}")
    prompt: Prompt | PerImagePrompt
    if (path / ADAPTER_FILE).exists():
        prompt = load_per_image(path, device=pick_device(device))
    else:
        prompt = load(path / "prompt.png" if config else path)
    if model is None or isinstance(model, str):
        device = pick_device(device)
        model = _load_model(prompt, config, model, weights, device)
    else:
        device = device_of(model, device)
    if model.spec.image_size != prompt.canvas.size:
        raise PromptError(
            f"the prompt is made for canvases of {prompt.canvas.size[0]}x{prompt.canvas.size[1]} pixels, but "
            f"{model.spec.name} takes {model.spec.image_size[0]}x{model.spec.image_size[1]}. Learn one for this model."
        )
    if not prompt.output:
        raise PromptError(f"{path}: the prompt does not say how answers become labels; it can only be applied.")
    if isinstance(model, Opaque) and prompt.output.get("labels"):
        model.restore(prompt.output["labels"], closed=True)
    output = output_from_json(prompt.output, spec=model.spec).to(device)
    return Deployed(prompt, Counted(model), output, config, device)


def _load_model(
    prompt: Prompt | PerImagePrompt, config: TrainConfig | None, name: str | None, weights: str | None, device: str
) -> Model:
    own = name is None
    if own and config is not None:
        name, weights = config.model, weights or config.weights
    if own and config is None and prompt.model.startswith("python:"):
        raise ConfigError(
            f"the prompt was learned for {prompt.model}, which is code to run, and a picture must not decide that. "
            f"If you trust it: --model {prompt.model}"
        )
    if own and prompt.weights_sha256 and (weights is None or file_sha256(weights) != prompt.weights_sha256):
        raise ConfigError(
            f"the prompt was learned for {prompt.model} with a weights file of its own (SHA-256 "
            f"{prompt.weights_sha256[:12]}...); give that file with --weights, or say --model to try another model."
        )
    try:
        return load_model(name or prompt.model, weights=Path(weights) if weights else None, device=device)
    except UnknownName as error:
        hint = " If it was learned for an object of yours, pass that object as the model." if own else ""
        raise ConfigError(f"{error}{hint}") from error


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
    """Scores a saved prompt, as re-read from its file, on the validation and test splits of a data set.

    A run directory brings the other rungs of its ladder along; a file alone is compared with the images without it,
    read with the same output transform. Splits that are drawn are drawn with the prompt's own seed, so the images it
    learned from stay out of the test.

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
    own = config is not None and data is None and model is None
    if data is None and config is not None:
        data = config.data
    if data is None:
        raise ConfigError("a prompt PNG does not name its data; say which with --data.")
    if isinstance(data, str):
        data = load_data(data, seed=prompt.seed, shots=config.shots if config else None)
    _check_classes(data.classes, deployed.output.classes)
    with reproducible():
        rungs, counts = _rungs(deployed, data, workers, reporter, alone=not own)
    notes = ["'no prompt' is read with the output transform of the file; the other rungs need the training images."]
    if own:
        rungs = {**read_result(Path(source) / "result.json").accuracy, "prompt_png": rungs["prompt_png"]}
        notes = ["Only the last rung was scored again; the others are those of the run."]
    return Result(
        method=config.method if config else "pixel",
        model=deployed.model.spec.name,
        data=data.name,
        classes=data.classes,
        counts=counts,
        parameters=int(str(prompt.template.get("num_params", 0))),
        seed=prompt.seed,
        accuracy=rungs,
        queries=query_counts(deployed.model, price_per_1000),
        best="none" if prompt.template["name"] == "none" else "prompt",
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(deployed.device),
        notes=notes,
    )


def _rungs(
    deployed: Deployed, data: Data, workers: int, reporter: Reporter, *, alone: bool
) -> tuple[dict[str, Score | None], dict[str, int]]:
    """Returns the rungs that a file alone can give, and how many images were read of each split."""
    prompt, config = deployed.prompt, deployed.config
    plain = plain_canvas(deployed.model.spec, config.crop if config else None, config.aspect if config else None)
    if prompt.canvas.fit == "resize":
        plain = prompt.canvas
    rungs: dict[str, Score | None] = dict.fromkeys(RUNGS)
    counts = {"train": len(data.train)}
    wanted = [("no_prompt", plain, None)] if alone else []
    for rung, canvas, overlay in (*wanted, ("prompt_png", prompt.canvas, prompt.overlay)):
        answered = []
        for name, images in (("val", data.val), ("test", data.test)):
            canvases = canvases_of(images, canvas, workers, reporter, f"read {name}")
            reporter.stage(f"score {name}", len(canvases.labels))
            counts[name] = len(canvases.labels)
            answered.append(
                ask_all(deployed.model, canvases, device=deployed.device, overlay=overlay, reporter=reporter)
            )
        rungs[rung] = score(deployed.output, *answered)
    return rungs, counts


def _check_classes(found: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if tuple(found) == tuple(expected):
        return
    pairs = enumerate(itertools.zip_longest(expected, found, fillvalue="nothing"))
    index, (ours, theirs) = next(pair for pair in pairs if pair[1][0] != pair[1][1])
    raise ConfigError(
        f"the prompt tells {len(expected)} classes apart, the data set has {len(found)}; the first that differs is "
        f"number {index}: {ours!r} in the prompt, {theirs!r} in the data. They must agree, in this order."
    )


def predict(
    deployed: Deployed, inputs: list[str], *, top: int = 5, batch_size: int = 32, workers: int = 2
) -> Iterator[dict[str, Any]]:
    """Yields one object per image, in order: {"path", "label", "probability", "top"} or {"path", "error"}.

    Args:
        deployed: From `deploy`.
        inputs: Image files and folders; all are found before the model is asked anything.
        top: How many classes to list.
        batch_size: Images per request.
        workers: Threads that decode images.
    """
    images = join([load_images(name) for name in inputs])
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for part in batches(len(images), batch_size):
            yield from _predict_batch(deployed, images, range(part.start, part.stop), top, pool)


@torch.no_grad()
def _predict_batch(
    deployed: Deployed, images: ImageSet, chosen: range, top: int, pool: Executor
) -> Iterator[dict[str, Any]]:
    def canvas(index: int) -> Pixels | ImageError:
        try:
            return deployed.prompt.canvas.make(images.open(index))
        except ImageError as error:
            return error

    made = list(pool.map(canvas, chosen))
    good = [item for item in made if not isinstance(item, ImageError)]
    shares: Iterator[list[float]] = iter(())
    if good:
        prompted = deployed.prompt.overlay(np.stack(good))
        with reproducible():
            logits = deployed.output(deployed.model(to_images(prompted, deployed.device)).float())
        shares = iter(logits.double().softmax(1).cpu().tolist())
    for index, item in zip(chosen, made, strict=True):
        if isinstance(item, ImageError):
            yield {"path": images.names[index], "error": str(item)}
            continue
        # By share alone: the sort is stable, so a tie goes to the first class, as it does in `evaluate`.
        named = sorted(zip(next(shares), deployed.output.classes, strict=True), key=lambda pair: -pair[0])[:top]
        yield {
            "path": images.names[index],
            "label": named[0][1],
            "probability": round(named[0][0], 6),
            "top": [{"label": label, "probability": round(share, 6)} for share, label in named],
        }
