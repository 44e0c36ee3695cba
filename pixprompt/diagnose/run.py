"""Whether a prompt is worth its queries: the numbers of two data sets, a first look at the model, the advice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..adapters import METHODS
from ..core import AnswerKind, ConfigError, DataError, Model, ModelError
from ..data import ImageSet, load_data, load_images
from ..data.image_set import UNLABELLED
from ..data.readers.folders import read_folder
from ..diagnostics.advice import advise
from ..diagnostics.features.extract import Extractor, inception, open_clip
from ..diagnostics.features.lpips import LPIPS, load_lpips
from ..diagnostics.gain import Evidence, published_diversity
from ..diagnostics.measure import MeasureSettings, measure
from ..engine.answers import reproducible
from ..engine.inputs.devices import device_of, pick_device
from ..engine.inputs.opening import Calls, open_model, open_querier
from ..engine.progress import Reporter, Silent
from ..engine.result import peak_memory_mb
from ..files import make_folder, write_json
from .model_check import ModelCheck, check_model, images_per_class

__all__ = ["NONE", "diagnose", "evidence_from"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
NONE = "none"
"""In place of a weights file: the numbers that need it are left out."""
_SCALED_CANVAS = "64x64"
"""Of the diversities that `published_diversity` was fitted on."""


def diagnose(
    data: str,
    reference: str,
    *,
    model: str | Model | None = None,
    weights: str | None = None,
    labelled: int = 10,
    budget: int | None = None,
    inception_file: str | None = None,
    lpips_file: str | None = None,
    clip: str | None = None,
    settings: MeasureSettings | None = None,
    limit: int | None = None,
    device: str = "auto",
    workers: int = 2,
    out: Path | None = None,
    reporter: Reporter | None = None,
    calls: Calls | None = None,
    ray: str | None = None,
) -> dict[str, Any]:
    """Measures a data set against a reference, asks a model about a few labelled images, and advises.

    Args:
        data: A, as for `load_images`; labelled, as for `load_data`, where a model is given.
        reference: B, a name as for `load_images`; labels are optional.
        model: A name or a model; None asks none, and the advice rests on less.
        weights: Weights file of a model given by name.
        labelled: Images per class that the model is queried about.
        budget: Queries that may be spent in all, those of this check included.
        inception_file: Weights for FID and KID; None looks for installed ones, "none" leaves both out.
        lpips_file: Weights for the diversity; None and "none" as above.
        clip: Name of a CLIP model for CMMD.
        settings: How thorough the numbers are.
        limit: Images taken of each set, drawn by the seed.
        workers: Threads that decode.
        out: File for the diagnosis object.
        calls: How a remote model is called; what its ledger holds is not queried again.
        ray: Address of a Ray cluster whose processes take the features; None for this one.

    Returns:
        The diagnosis object (schema 1).

    Raises:
        ConfigError: The settings do not go together.
        ModelError: A weights file that was named cannot be used.
    """
    began, reporter, settings = time.perf_counter(), reporter or Silent(), settings or MeasureSettings()
    sets = [_subsample(images, limit, settings.seed) for images in (load_images(data), _load_reference(reference))]
    with reproducible():
        place, missing = pick_device(device), dict[str, str]()
        # In this order: a weights file that cannot be used is reported before a query is spent, and what is wrong with
        # the model or its labels before the hours of measuring.
        extractors, lpips = _load_networks(inception_file, lpips_file, clip, place, missing)
        check, evidence = _check(
            data, model, weights, labelled, budget, settings.seed, device, workers, reporter, calls
        )
        reporter.stage("measure", len(extractors) * sum(map(len, sets)) + (len(sets[0]) if lpips else 0))
        result = measure(
            *sets, extractors=extractors, lpips=lpips, settings=settings, names=(data, reference), missing=missing,
            workers=workers, on_image=reporter.advance, ray=ray,
        )  # fmt: skip
    result["model"] = None if check is None else check.to_json()
    if check is None:
        result["reasons"]["model"] = "no model was named"
    result["advice"] = advise(evidence_from(result, **evidence)).to_json()
    result |= {"seconds": round(time.perf_counter() - began, 1), "peak_memory_mb": round(peak_memory_mb(place), 1)}
    if out is not None:
        make_folder(out.parent)
        write_json(out, result)
    return result


def evidence_from(diagnosis: dict[str, Any], **more: Any) -> Evidence:
    """Returns what the advice needs from a diagnosis object without advice.

    Args:
        diagnosis: With `model`, `headline` and `lpips`, each of which may be null.
        more: Fields of `Evidence` that the object does not hold.
    """
    check, lpips, headline = diagnosis["model"] or {}, diagnosis["lpips"], diagnosis["headline"]
    diversity = None
    if lpips is not None and str(lpips["canvas"]).startswith(_SCALED_CANVAS):
        diversity = published_diversity(lpips["mean"])
    distance = None
    if headline is not None:
        words = (
            headline.upper() if headline in ("fid", "kid", "cmmd") else f"Frechet distance in {diagnosis['extractor']}"
        )
        number = diagnosis[headline]
        distance = (words, number["value"], number["ci95"][0], number["floor"])
    return Evidence(
        accuracy=check.get("accuracy"),
        head=check.get("head"),
        scored=check.get("images", 0),
        classes=check.get("classes"),
        diversity=diversity,
        distance=distance,
        known_names=check.get("known_names"),
        train=check.get("train"),
        gradients=check.get("gradients"),
        answer=AnswerKind(check.get("answer", AnswerKind.PROBABILITIES)),
        num_outputs=check.get("num_outputs", 0),
        **more,
    )


def _load_reference(name: str) -> ImageSet:
    """Returns the images of a folder with the labels that its class folders give, which `load_images` leaves out."""
    images, path = load_images(name), Path(name.removeprefix("folder:")).expanduser()
    if not path.is_dir() or bool((images.labels >= 0).any()):
        return images
    try:
        parts = read_folder(path).parts.values()
    except DataError:  # no class folders
        return images
    labels = {key: int(label) for part in parts for key, label in zip(part.names, part.labels, strict=True)}
    return replace(images, labels=np.array([labels.get(key, UNLABELLED) for key in images.names], dtype=np.int64))


def _subsample(images: ImageSet, limit: int | None, seed: int) -> ImageSet:
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit must be at least 1 image, got {limit}.")
    if limit is None or limit >= len(images):
        return images
    return images.subset(np.sort(np.random.default_rng([seed, len(images)]).choice(len(images), limit, replace=False)))


def _check(
    data: str,
    model: str | Model | None,
    weights: str | None,
    labelled: int,
    budget: int | None,
    seed: int,
    device: str,
    workers: int,
    reporter: Reporter,
    calls: Calls | None,
) -> tuple[ModelCheck | None, dict[str, Any]]:
    """Returns what the model answered, and what its advice depends on besides."""
    if model is None:
        if weights is not None:
            raise ConfigError("--weights belongs to a model; say which with --model.")
        return None, {"budget": budget}
    split = load_data(data, seed=seed)
    images_per_class(labelled, budget, len(split.classes))  # before a model is loaded
    if isinstance(model, str):
        device = pick_device(device)
        model = open_model(model, weights=weights, device=device, calls=calls)
    else:
        device = device_of(model, device)
    with open_querier(model, replace(calls or Calls(), budget=budget)) as querier:
        check = check_model(
            querier,
            split,
            labelled=labelled,
            budget=querier.remaining if budget is None else budget,
            seed=seed,
            device=device,
            workers=workers,
            reporter=reporter,
        )
        for note in querier.notes:
            reporter.note(note)
    run = METHODS["pixel"].defaults["epochs"] * (len(split.train) + len(split.val))
    return check, {"budget": None if budget is None else max(0, budget - check.queries), "run": run}


def _load_networks(
    inception_file: str | None, lpips_file: str | None, clip: str | None, device: str, missing: dict[str, str]
) -> tuple[list[Extractor], LPIPS | None]:
    """Loads what the numbers need; what cannot be loaded goes into `missing`, unless the user named it."""
    extractors = []
    extractor = _load_or_reason(lambda file: inception(file, device=device), inception_file, ("fid", "kid"), missing)
    if extractor is not None:
        extractors.append(extractor)
    if clip is not None:
        extractors.append(open_clip(clip, device=device))
    return extractors, _load_or_reason(load_lpips, lpips_file, ("lpips",), missing)


def _load_or_reason(
    load: Callable[[str | None], T], file: str | None, numbers: tuple[str, ...], missing: dict[str, str]
) -> T | None:
    if file == NONE:
        missing |= dict.fromkeys(numbers, "left out on request")
        return None
    try:
        return load(file)
    except ModelError as error:
        if file is not None:
            raise
        logger.warning("%s left out: %s", " and ".join(numbers).upper(), error)
        missing |= dict.fromkeys(numbers, str(error))
        return None
