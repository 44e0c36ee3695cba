"""What a run is made of: one frozen value, in JSON and on the command line alike."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ...adapters import SA2VP_PRESETS, SPACES
from ...adapters.sa2vp import ACTIVATIONS
from ...canvas import ASPECTS, FITS
from ...core import ConfigError
from ...files import read_json
from ...prompt import BLENDS
from ...templates import BASES, STARTS
from ..losses import LOSSES
from .settings import Settings, option

__all__ = ["FREE", "TrainConfig", "run_config", "with_absolute_paths"]


FREE = (
    *("budget", "max_cost", "price_per_1000", "test_images", "workers"),
    *("concurrency", "rate", "timeout", "deadline", "max_requests", "in_doubt"),
)
"""Settings that may be other ones when a run is continued: what was answered stays as it is."""


@dataclass(frozen=True)
class TrainConfig(Settings):
    """All settings of a run. None means that the preset decides; `presets.resolve` fills it in.

    The `help` of each field is the help of the command-line option of the same name.

    Raises:
        ConfigError: A value is of the wrong type, or outside its choices or its range.
    """

    model: str = option(
        "efficientnet-lite0", "model to adapt: a short name, open_clip:, timm:, torchvision:, python:, URL, endpoint:"
    )
    weights: str | None = option(None, "weights file for the model (.safetensors, or a torch file)")
    protocol: str | None = option(None, "of a model behind a URL; see 'pixprompt protocols'")
    endpoint: str | None = option(None, "description of a model behind a URL: a ready one's name, or a JSON file")
    endpoint_options: str | None = option(None, "of the description or the protocol: name=value,name=value")
    encoding: str | None = option(None, "how images are sent to a URL; png if nobody says", ("png", "jpeg"))
    concurrency: int = option(4, "requests to a URL under way at the same time", low=1)
    rate: float | None = option(None, "most images per second sent to a URL", low=0)
    timeout: float = option(60.0, "seconds that one request to a URL may take", low=0)
    deadline: float = option(600.0, "seconds that a request may take with all its retries", low=0)
    max_requests: int | None = option(None, "requests that the run may send in all", low=0)
    in_doubt: str | None = option(
        None, "requests of a session that died: may be billed twice, or are left unanswered", ("ask", "retry", "skip")
    )
    data: str = option("digits", "labelled images: a short name, folder:PATH or csv:FILE")
    method: str = option("pixel", "what is learned")
    template: str = option("padding", "where the prompt is")
    size: int = option(30, "width of the frame, or side of the patch, in pixels")
    place: str | None = option(None, "where a patch lies: top,left in pixels, top-left, ..., center")
    blend: str | None = option(None, "how the prompt meets the image", BLENDS)
    opacity: str = option("1", "of blend over: a number in (0, 1], or 'learned' for one per pixel")
    delta_scale: float = option(1.0, "of blend add: the largest change of a pixel, in (0, 1]")
    fit: str | None = option(None, "the image fills the canvas, or shrinks into the padding", FITS)
    crop: float | None = option(
        None, "share of the image that the centre crop keeps, in (0, 1]; the model's own", low=0
    )
    aspect: str | None = option(None, "how a non-square image becomes a canvas; the model's own", ASPECTS)
    start: str | None = option(None, "first prompt: flat, or normally distributed noise", STARTS)
    space: str = option("pixel", "normalized: the VP paper's unclamped prompt, for comparison", SPACES)
    output: str | None = option(None, "how answers become labels; see 'pixprompt outputs'")
    text: str = option("paper", "text templates: a template with {}, several joined by |, a name, or a file")
    mapping: str | None = option(None, "JSON file of output 'given': class -> source labels or indices")
    text_encoder: str | None = option(None, "dual encoder whose text side serves output 'semantic'")
    optimizer: str | None = option(
        None, "what moves the prompt: by gradients, or by answers alone; see 'pixprompt optimizers'"
    )
    basis: str | None = option(None, "of a search by answers: what the prompt is made of", tuple(BASES))
    basis_size: int | None = option(None, "frequencies or blocks per side, or rank, of the basis", low=1)
    sigma: float | None = option(None, "of a search by answers: size of the trials, RMS of the pixels", low=0)
    population: int | None = option(None, "of a search by answers: trials per step", low=1)
    loss: str | None = option(None, "what is minimised", LOSSES)
    budget: int | None = option(
        None, "queries that the run may ask in all, the final test included; learns from answers alone", low=0
    )
    max_cost: float | None = option(None, "the same as money, with --price-per-1000", low=0)
    head_images: int | None = option(
        None, "labelled images asked without a prompt, for the output transform; as many as the budget pays for", low=1
    )
    test_images: int | None = option(
        None, "test images to score under a budget, 0 for none; as many as a fifth of it pays", low=0
    )
    surrogate: str | None = option(None, "local model on which the prompt is learned first, by gradients")
    surrogate_weights: str | None = option(None, "weights file for the surrogate")
    mimic: str = option(
        "labels",
        "what the surrogate learns to read the images by: the labels, or the answers of the model",
        ("labels", "answers"),
    )
    encoder: str | None = option(None, "of method blackvip: local model whose answers describe an image")
    encoder_weights: str | None = option(None, "weights file for the encoder")
    tokens: int | None = option(None, "of vpt: prompt tokens per layer; on a ConvNet, pixels on each side", low=1)
    depth: int | None = option(None, "of vpt: layers with prompts of their own", low=1)
    depth_from: str | None = option(None, "of vpt: which layers those are, counted from", ("bottom", "top"))
    shared: bool = option(False, "of vpt: one set of prompts for all layers")
    location: str | None = option(
        None,
        "of vpt: where the prompts go",
        ("prepend", "add", "add-one", "prepend-pixel", "concat-channel", "padding"),
    )
    pool: str | None = option(
        None, "of vpt: which final tokens the head reads", ("cls", "image", "image-and-prompt", "prompt")
    )
    dropout: float | None = option(
        None, "of vpt and sa2vp: share of values of prompts and their adapters dropped in training", low=0, below=1
    )
    projection: int | None = option(None, "of vpt: width of the prompts before a learned projection", low=1)
    layers: int | None = option(None, "of partial: layers tuned from the top; of mlp: hidden layers", low=1)
    reduction: int | None = option(None, "of adapter: the layer's width over the bottleneck's", low=1)
    bottleneck: int | None = option(
        None, "of adaptformer and sa2vp: width inside its adapters; 0 leaves out those of sa2vp", low=0
    )
    rank: int | None = option(None, "of lora; of sa2vp: width of the stored maps, 0 for the backbone's own", low=0)
    window: int | None = option(
        None, "of sa2vp: tokens across that one sees of the other pathway, 1, 3, 5, ...; 0 for all", low=0
    )
    gamma: float | None = option(None, "of sa2vp: weight of what one pathway gives to the other", low=0)
    balance: float | None = option(
        None, "of sa2vp: share of the image pathway's loss, in (0, 1]; the other pathway has the rest", low=0
    )
    activation: str | None = option(None, "of sa2vp: inside its prompt adapters", ACTIVATIONS)
    map_scale: int | None = option(None, "of sa2vp: by which the map of prompts is smaller than the image's", low=1)
    search: bool = option(False, "choose learning rate and weight decay on the validation images, then train on both")
    lr_grid: str | None = option(None, "of --search: learning rates, joined by commas; the VPT paper's")
    weight_decay_grid: str | None = option(None, "of --search: weight decays, joined by commas; the VPT paper's")
    seeds: int = option(1, "of --search: final trainings, each with a seed of its own", low=1)
    lr: float | None = option(None, "learning rate, in units of the prompt's parameters", low=0)
    momentum: float = option(0.9, "momentum (the first beta of Adam)", low=0, below=1)
    weight_decay: float | None = option(None, "weight decay; none by default", low=0)
    warmup: int | None = option(None, "steps of linear warm-up; at most half of the run", low=0)
    warmup_epochs: int | None = option(None, "the same in passes over the training images", low=0)
    epochs: int | None = option(None, "passes over the training images", low=0)
    batch_size: int | None = option(None, "images per step; by answers, 100 queries per step", low=1)
    shots: int | None = option(None, "training images per class; all by default")
    seed: int = option(0, "of the splits, the order of images and the first prompt")
    preset: str = option(
        "default",
        "default: this tool's recipe; vp: the VP paper's; sa2vp-...: the SA2VP paper's for one of its tasks",
        ("default", "vp", *SA2VP_PRESETS),
    )
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one")
    precision: str = option(
        "auto",
        "of training steps; scores are always float32. auto: bf16 on GPUs that have it",
        ("auto", "fp32", "bf16"),
    )
    workers: int = option(2, "threads that decode images", low=0)
    price_per_1000: float | None = option(None, "price of 1000 queries, to report the cost of a run", low=0)


def run_config(folder: Path) -> TrainConfig:
    """Reads the configuration of a run directory.

    Raises:
        ConfigError: It is none.
    """
    path = folder / "config.json"
    try:
        return TrainConfig.from_json(read_json(path), source=path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is no run directory: {path.name} cannot be read ({error}).") from error


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Returns the configuration with paths that mean the same in every folder."""

    def absolute(value: str, *prefixes: str) -> str:
        prefix = next((prefix for prefix in prefixes if value.startswith(prefix)), None)
        return value if prefix is None else prefix + os.path.abspath(os.path.expanduser(value.removeprefix(prefix)))

    def described(value: str, prefix: str = "") -> str:  # a file, or else the name of a ready one
        return absolute(value, prefix) if os.path.isfile(value.removeprefix(prefix)) else value

    return replace(
        config,
        model=described(absolute(config.model, "open_clip:local-dir:"), "endpoint:"),
        text_encoder=config.text_encoder and absolute(config.text_encoder, "open_clip:local-dir:"),
        surrogate=config.surrogate and absolute(config.surrogate, "open_clip:local-dir:"),
        surrogate_weights=config.surrogate_weights and absolute(config.surrogate_weights, ""),
        encoder=config.encoder and absolute(config.encoder, "open_clip:local-dir:"),
        encoder_weights=config.encoder_weights and absolute(config.encoder_weights, ""),
        data=absolute(config.data, "folder:", "csv:"),
        weights=config.weights and absolute(config.weights, ""),
        endpoint=config.endpoint and described(config.endpoint),
        mapping=config.mapping and absolute(config.mapping, ""),
    )
