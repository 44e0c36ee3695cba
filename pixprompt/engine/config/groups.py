"""The groups of settings that a run has whatever its method: model, endpoint, data, prompt, output, fit, search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...canvas import ASPECTS, FITS
from ...prompt import BLENDS
from ...settings import Settings, option
from ...templates import BASES, STARTS

__all__ = [
    "AUGMENTATIONS",
    "DataSettings",
    "EndpointSettings",
    "FitSettings",
    "ModelSettings",
    "OutputSettings",
    "PromptSettings",
    "SearchSettings",
]

_ENCODER = ("open_clip:local-dir:",)
AUGMENTATIONS = ("none", "flip", "crop")


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The model to adapt, and where it runs."""

    name: str = option(
        "efficientnet-lite0",
        "Model to adapt: a short name ('pixprompt models' lists them), a URL, or open_clip:, timm:, torchvision:,"
        " python: or endpoint: and a name.",
        name="model",
        paths=_ENCODER,
        files=("endpoint:",),
    )
    weights: str | None = option(
        None, "Weights file of the model: .safetensors, or tensors saved by torch.", paths=("",)
    )
    device: str = option("auto", "Where the model runs: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")


@dataclass(frozen=True)
class EndpointSettings(Settings):
    """How a model behind a URL is called."""

    protocol: str | None = option(
        None,
        "How to speak to a model behind a URL ('pixprompt protocols' lists the ways); seen from the URL by default.",
    )
    description: str | None = option(
        None,
        "Description of a model behind a URL: the name of one that is included, or a JSON file.",
        name="endpoint",
        files=("",),
    )
    arguments: str | None = option(
        None, "What the description or the protocol asks for: name=value,name=value.", name="endpoint_options"
    )
    encoding: str | None = option(None, "How images are sent to a URL; png by default.", ("png", "jpeg"))
    concurrency: int = option(4, "Requests to a URL that are under way at the same time.", low=1)
    rate: float | None = option(None, "Most images per second that are sent to a URL; no limit by default.", low=0)
    timeout: float = option(60.0, "Seconds that one request to a URL may take.", low=0)
    deadline: float = option(600.0, "Seconds that a request may take with all its retries.", low=0)
    max_requests: int | None = option(None, "Requests that the run may send in all; no limit by default.", low=0)
    in_doubt: str | None = option(
        None,
        "What becomes of requests whose session died: ask at the terminal, retry (may be billed twice), or skip.",
        ("ask", "retry", "skip"),
    )
    durability: str = option(
        "full",
        "What queries are safe from once they are written: full, a power cut as well; os, the end of the process alone,"
        " which is faster where the disk is slow.",
        ("full", "os"),
    )


@dataclass(frozen=True)
class DataSettings(Settings):
    """The images, and how they become canvases."""

    name: str = option(
        "digits",
        "Labelled images: a short name ('pixprompt datasets' lists them), folder:PATH, csv:FILE, lists:PATH,"
        " webdataset:PATH of tar archives, or hf:NAME of the Hugging Face hub.",
        name="data",
        paths=("folder:", "csv:", "lists:", "webdataset:"),
    )
    shots: int | None = option(None, "Training images per class; all by default.")
    fraction: float | None = option(None, "Share of the training images of each class, in (0, 1]; all by default.")
    split: str | None = option(
        None,
        "Which part of the data is which split: KEY=FOLDER, KEY being train, val or test; several joined by commas.",
    )
    crop: float | None = option(
        None, "Share of the image that the centre crop keeps, in (0, 1]; the model's own by default.", low=0
    )
    aspect: str | None = option(
        None, "How a non-square image becomes a canvas; the model's own way by default.", ASPECTS
    )
    workers: int = option(2, "Threads that decode images.", low=0)

    @property
    def subset(self) -> dict[str, Any]:
        """Keywords of `load_data` that say which of the images count."""
        return {"shots": self.shots, "fraction": self.fraction, "splits": self.split}


@dataclass(frozen=True)
class PromptSettings(Settings):
    """Where a pixel prompt is and how it meets the image."""

    template: str | None = option(
        None,
        "Where the prompt is ('pixprompt templates' lists the places); full by default beside a head, padding "
        "elsewhere and with a --size.",
    )
    size: int | None = option(None, "Width of the frame, or side of the patch, in pixels; 30 by default.")
    place: str | None = option(None, "Where a patch lies: top,left in pixels, or top-left, ..., center.")
    blend: str | None = option(None, "How the prompt meets the image.", BLENDS)
    opacity: str = option("1", "Opacity of blend over: a number in (0, 1], or 'learned' for one per pixel.")
    delta_scale: float = option(1.0, "Largest change of a pixel by blend add, in (0, 1].")
    fit: str | None = option(None, "Whether the image fills the canvas or shrinks into the frame.", FITS)
    start: str | None = option(None, "First prompt: flat, or normally distributed noise.", STARTS)
    space: str = option(
        "pixel",
        "Space of the prompt; unclamped is the VP paper's, added after normalisation, for comparison.",
        ("pixel", "unclamped"),
    )


@dataclass(frozen=True)
class OutputSettings(Settings):
    """How the model's answers become labels."""

    kind: str | None = option(
        None,
        "How answers become labels ('pixprompt outputs' lists the ways); by default (auto) a classifier's "
        "prompt is learned beside ridge, that of CLIP with text.",
        name="output",
    )
    text: str = option(
        "paper", "Text templates: one with {}, several joined by |, a name, or a file with one per line."
    )
    smoothing: float | None = option(
        None, "Added to the total of each source by outputs blm and blm+; 1 by default.", low=0
    )
    top: int | None = option(
        None, "Likeliest sources that count in output blm+; by default chosen on held-out answers.", low=1
    )
    nearest: int | None = option(
        None, "Texts about a class, of each kind, that count in output attributes; 3 by default.", low=1
    )
    mapping: str | None = option(
        None,
        "JSON file for output 'given', class -> source labels or indices, or for output 'attributes', class -> texts "
        "about it.",
        paths=("",),
    )
    sources: int | None = option(
        None, "Sources of each class in outputs frequency and iterative, by default 1, and weighted, 20.", low=1
    )
    text_encoder: str | None = option(None, "Dual encoder whose text side serves output 'semantic'.", paths=_ENCODER)


@dataclass(frozen=True)
class FitSettings(Settings):
    """What moves the parameters, and for how long."""

    optimizer: str | None = option(
        None,
        "What moves the prompt, by gradients or by answers alone ('pixprompt optimizers' lists them).",
    )
    loss: str | None = option(None, "What is minimised; cross-entropy by default.", ("cross-entropy", "focal"))
    lr: float | None = option(None, "Learning rate, in units of the prompt's parameters.", low=0)
    momentum: float | None = option(None, "Momentum of sgd; the first beta of Adam; 0.9 by default.", low=0, below=1)
    weight_decay: float | None = option(None, "Weight decay; none by default.", low=0)
    warmup: int | None = option(None, "Steps of linear warm-up, at most half of the run.", low=0)
    warmup_epochs: int | None = option(
        None, "Linear warm-up in passes over the training images, in place of --warmup.", low=0
    )
    epochs: int | None = option(None, "Passes over the training images.", low=0)
    refits: int = option(
        10,
        "Times per epoch that the heads are fitted again which a pixel prompt learns beside (linear, ridge, lda).",
        low=1,
    )
    batch_size: int | None = option(None, "Images per step; by answers alone, 100 queries per step.", low=1)
    augment: str | None = option(
        None,
        "Random changes of training images: flip, or crop, which flips and cuts out of a larger one; none by default.",
        AUGMENTATIONS,
    )
    precision: str = option(
        "auto",
        "Precision of training steps; auto takes bf16 where the device computes in it, and scores are always float32.",
        ("auto", "fp32", "bf16"),
    )
    compile: bool = option(
        False,
        "Have torch compile the layers of a transformer under a pixel prompt: slow to start, for long runs on a GPU.",
    )
    grid_search: bool = option(
        False, "Choose learning rate and weight decay on the validation images, then train on both.", name="search"
    )
    search_trials: int | None = option(
        None, "Pairs that --search tries, chosen by Optuna between the ends of the grids; by default every pair.", low=1
    )
    lr_grid: str | None = option(
        None, "Learning rates that --search tries, joined by commas; the VPT paper's by default."
    )
    weight_decay_grid: str | None = option(
        None, "Weight decays that --search tries, joined by commas; the VPT paper's by default."
    )
    seeds: int = option(1, "Final trainings of --search, each with a seed of its own.", low=1)


@dataclass(frozen=True)
class SearchSettings(Settings):
    """A search by answers alone, and what it may cost."""

    basis: str | None = option(
        None, "What the prompt of a search by answers is made of; the optimizer's choice by default.", tuple(BASES)
    )
    basis_size: int | None = option(None, "Frequencies or blocks per side, or rank, of the basis.", low=1)
    sigma: float | None = option(None, "Size of the trials of a search by answers, as RMS of the pixels.", low=0)
    population: int | None = option(None, "Trials per step of a search by answers.", low=1)
    decay: float | None = option(None, "Exponent by which the steps of spsa, spsa-gc, bar and nes shrink.", low=0)
    decay_offset: float | None = option(
        None, "Steps added before the steps of spsa and spsa-gc shrink (Spall's A).", low=0
    )
    sigma_decay: float | None = option(None, "Exponent by which sigma of spsa and spsa-gc shrinks.", low=0)
    least_step: float | None = option(None, "Share of the first step below which none of bar and nes shrinks.", low=0)
    radius: float | None = option(
        None, "Distance from the start, as RMS of the pixels, at which a search by answers has diverged.", low=0
    )
    budget: int | None = option(
        None,
        "Queries (images answered) that the run may ask in all, the final test included; learns from answers alone.",
        low=0,
    )
    max_cost: float | None = option(None, "Money that the run may cost in all; with --price-per-1000.", low=0)
    price_per_1000: float | None = option(None, "Price of 1000 queries, to report the cost of a run.", low=0)
    head_images: int | None = option(
        None,
        "Labelled images asked without a prompt, for the output transform; by default as many as the budget pays for.",
        low=1,
    )
    test_images: int | None = option(
        None,
        "Test images to score, evenly over the classes, 0 for none; by default all, or as many as a fifth of a budget "
        "pays for.",
        low=0,
    )
    views: str | None = option(
        None,
        "Prompts that each image is asked under in a run by answers: a number; auto, the default, weighs them against "
        "their price; none learns pixels.",
    )
    predictions: int = option(
        1000, "Images that the result will be used for: weighs the price of a further view against learning.", low=0
    )
    student: str | None = option(
        None,
        "Local model that learns the task from what a run by answers has paid for; the result says what it reaches "
        "alone, and in front of the paid model.",
        paths=_ENCODER,
    )
    student_weights: str | None = option(None, "Weights file of the student.", paths=("",))
    student_images: str | None = option(
        None,
        "Unlabelled images that the model is asked about for the student, with up to a quarter of the budget: a "
        "folder, or what --data takes.",
        files=("",),
        paths=("folder:",),
    )
    search_anyway: bool = option(
        False, "Look for a prompt even where the budget of a run by answers is probably too small for one to be found."
    )
    cascade: str | None = option(
        None,
        "When a committee asks under all of its views: auto, only where the first one leaves doubt; none, always; auto "
        "by default, unless --views says how many.",
        ("auto", "none"),
    )
    vocabulary: str | None = option(
        None,
        "Words to ask about besides the classes, of a model that answers about labels of the caller's choice: a text "
        "file with one a line; auto, the default there, for common nouns; or none.",
        files=("",),
    )
    surrogate: str | None = option(
        None,
        "Local models, with commas between them, on which a prompt is learned by gradients, through random resizes and "
        "JPEG: one more view of the race, or where a search by answers starts.",
        paths=_ENCODER,
        joined=True,
    )
    surrogate_weights: str | None = option(
        None, "Weights files of the surrogates, with commas between them, in their order.", paths=("",), joined=True
    )
    mimic: str | None = option(
        None,
        "What the surrogate learns to read the images by: the labels, the default, or the answers of the model.",
        ("labels", "answers"),
    )
