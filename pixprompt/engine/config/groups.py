"""The groups of settings that a run has whatever its method: model, endpoint, data, prompt, output, fit, search."""

from __future__ import annotations

from dataclasses import dataclass

from ...canvas import ASPECTS, FITS
from ...prompt import BLENDS
from ...settings import Settings, option
from ...templates import BASES, STARTS

__all__ = [
    "DataSettings",
    "EndpointSettings",
    "FitSettings",
    "ModelSettings",
    "OutputSettings",
    "PromptSettings",
    "SearchSettings",
]

_ENCODER = ("open_clip:local-dir:",)


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The model to adapt, and where it runs."""

    name: str = option(
        "efficientnet-lite0",
        "model to adapt: a short name, open_clip:, timm:, torchvision:, python:, URL, endpoint:",
        name="model",
        paths=_ENCODER,
        files=("endpoint:",),
    )
    weights: str | None = option(None, "weights file for the model (.safetensors, or a torch file)", paths=("",))
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one")


@dataclass(frozen=True)
class EndpointSettings(Settings):
    """How a model behind a URL is called."""

    protocol: str | None = option(None, "of a model behind a URL; see 'pixprompt protocols'")
    description: str | None = option(
        None, "description of a model behind a URL: a ready one's name, or a JSON file", name="endpoint", files=("",)
    )
    arguments: str | None = option(
        None, "of the description or the protocol: name=value,name=value", name="endpoint_options"
    )
    encoding: str | None = option(None, "how images are sent to a URL; png if nobody says", ("png", "jpeg"))
    concurrency: int = option(4, "requests to a URL under way at the same time", low=1)
    rate: float | None = option(None, "most images per second sent to a URL", low=0)
    timeout: float = option(60.0, "seconds that one request to a URL may take", low=0)
    deadline: float = option(600.0, "seconds that a request may take with all its retries", low=0)
    max_requests: int | None = option(None, "requests that the run may send in all", low=0)
    in_doubt: str | None = option(
        None, "requests of a session that died: may be billed twice, or are left unanswered", ("ask", "retry", "skip")
    )


@dataclass(frozen=True)
class DataSettings(Settings):
    """The images, and how they become canvases."""

    name: str = option(
        "digits",
        "labelled images: a short name, folder:PATH or csv:FILE",
        name="data",
        paths=("folder:", "csv:"),
    )
    shots: int | None = option(None, "training images per class; all by default")
    crop: float | None = option(
        None, "share of the image that the centre crop keeps, in (0, 1]; the model's own", low=0
    )
    aspect: str | None = option(None, "how a non-square image becomes a canvas; the model's own", ASPECTS)
    workers: int = option(2, "threads that decode images", low=0)


@dataclass(frozen=True)
class PromptSettings(Settings):
    """Where a pixel prompt is and how it meets the image."""

    template: str = option("padding", "where the prompt is")
    size: int = option(30, "width of the frame, or side of the patch, in pixels")
    place: str | None = option(None, "where a patch lies: top,left in pixels, top-left, ..., center")
    blend: str | None = option(None, "how the prompt meets the image", BLENDS)
    opacity: str = option("1", "of blend over: a number in (0, 1], or 'learned' for one per pixel")
    delta_scale: float = option(1.0, "of blend add: the largest change of a pixel, in (0, 1]")
    fit: str | None = option(None, "the image fills the canvas, or shrinks into the padding", FITS)
    start: str | None = option(None, "first prompt: flat, or normally distributed noise", STARTS)
    space: str = option(
        "pixel", "unclamped: the VP paper's prompt, added after normalisation, for comparison", ("pixel", "unclamped")
    )


@dataclass(frozen=True)
class OutputSettings(Settings):
    """How the model's answers become labels."""

    kind: str | None = option(None, "how answers become labels; see 'pixprompt outputs'", name="output")
    text: str = option("paper", "text templates: a template with {}, several joined by |, a name, or a file")
    smoothing: float | None = option(
        None, "of outputs blm and blm+: added to the total of each source; 1 if nobody says", low=0
    )
    top: int | None = option(
        None, "of output blm+: likeliest sources that count; 15% of all, at least 5, if nobody says", low=1
    )
    mapping: str | None = option(None, "JSON file of output 'given': class -> source labels or indices", paths=("",))
    text_encoder: str | None = option(None, "dual encoder whose text side serves output 'semantic'", paths=_ENCODER)


@dataclass(frozen=True)
class FitSettings(Settings):
    """What moves the parameters, and for how long."""

    optimizer: str | None = option(
        None, "what moves the prompt: by gradients, or by answers alone; see 'pixprompt optimizers'"
    )
    loss: str | None = option(None, "what is minimised", ("cross-entropy", "focal"))
    lr: float | None = option(None, "learning rate, in units of the prompt's parameters", low=0)
    momentum: float = option(0.9, "momentum (the first beta of Adam)", low=0, below=1)
    weight_decay: float | None = option(None, "weight decay; none by default", low=0)
    warmup: int | None = option(None, "steps of linear warm-up; at most half of the run", low=0)
    warmup_epochs: int | None = option(None, "the same in passes over the training images", low=0)
    epochs: int | None = option(None, "passes over the training images", low=0)
    batch_size: int | None = option(None, "images per step; by answers, 100 queries per step", low=1)
    precision: str = option(
        "auto",
        "of training steps; scores are always float32. auto: bf16 on GPUs that have it",
        ("auto", "fp32", "bf16"),
    )
    grid_search: bool = option(
        False, "choose learning rate and weight decay on the validation images, then train on both", name="search"
    )
    lr_grid: str | None = option(None, "of --search: learning rates, joined by commas; the VPT paper's")
    weight_decay_grid: str | None = option(None, "of --search: weight decays, joined by commas; the VPT paper's")
    seeds: int = option(1, "of --search: final trainings, each with a seed of its own", low=1)


@dataclass(frozen=True)
class SearchSettings(Settings):
    """A search by answers alone, and what it may cost."""

    basis: str | None = option(None, "of a search by answers: what the prompt is made of", tuple(BASES))
    basis_size: int | None = option(None, "frequencies or blocks per side, or rank, of the basis", low=1)
    sigma: float | None = option(None, "of a search by answers: size of the trials, RMS of the pixels", low=0)
    population: int | None = option(None, "of a search by answers: trials per step", low=1)
    decay: float | None = option(None, "of spsa, spsa-gc, bar and nes: exponent of the fall of the step", low=0)
    decay_offset: float | None = option(None, "of spsa and spsa-gc: steps added before it falls (Spall's A)", low=0)
    sigma_decay: float | None = option(None, "of spsa and spsa-gc: exponent of the fall of sigma", low=0)
    least_step: float | None = option(None, "of bar and nes: share of the first step below which none falls", low=0)
    radius: float | None = option(
        None, "of a search by answers: RMS of the pixels from the start at which it has diverged", low=0
    )
    budget: int | None = option(
        None, "queries that the run may ask in all, the final test included; learns from answers alone", low=0
    )
    max_cost: float | None = option(None, "the same as money, with --price-per-1000", low=0)
    price_per_1000: float | None = option(None, "price of 1000 queries, to report the cost of a run", low=0)
    head_images: int | None = option(
        None, "labelled images asked without a prompt, for the output transform; as many as the budget pays for", low=1
    )
    test_images: int | None = option(
        None, "test images to score under a budget, 0 for none; as many as a fifth of it pays", low=0
    )
    views: str | None = option(
        None,
        "of a run by answers: prompts that each image is asked under, a number; auto weighs them against their price; "
        "none learns pixels. auto, unless something says how pixels are learned",
    )
    predictions: int = option(
        1000, "images that the result will be used for: what a further view costs is weighed against learning", low=0
    )
    surrogate: str | None = option(
        None, "local model on which the prompt is learned first, by gradients", paths=_ENCODER
    )
    surrogate_weights: str | None = option(None, "weights file for the surrogate", paths=("",))
    mimic: str = option(
        "labels",
        "what the surrogate learns to read the images by: the labels, or the answers of the model",
        ("labels", "answers"),
    )
