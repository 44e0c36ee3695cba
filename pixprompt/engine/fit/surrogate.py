"""A prompt learned by gradients on a local model, as a start for the opaque one: local work costs no query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, log_softmax

from ...adapters import METHODS, PixelPrompt
from ...core import Access, AccessError, AnswerKind, Model, ModelSpec
from ...models import DirectQuerier, load_model
from ..answers import ask_all
from ..initial_prompts import SURROGATE_SHARES, Start
from ..parts import Parts, canvases_of
from ..report import Silent
from ..seeds import stream
from .cross_fit import Choice
from .gradient import GradientFit, fit
from .inputs import Images
from .query_session import Session

__all__ = ["Mimic", "Resized", "load_surrogate", "ridge", "surrogate_starts"]

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Resized:
    """A model that takes images of another size than its own; gradients pass.

    Args:
        model: Local, with gradients.
        image_size: (height, width) of the images that come.
    """

    def __init__(self, model: Model, image_size: tuple[int, int]) -> None:
        self.model, self.spec = model, replace(model.spec, image_size=image_size)

    @property
    def access(self) -> Access:
        """Of the wrapped model."""
        return self.model.access

    def __call__(self, images: Tensor, /) -> Tensor:
        """Resizes the images (N, 3, H, W) where that is needed, and asks."""
        size = self.model.spec.image_size
        if images.shape[2:] != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        return self.model(images)


class Mimic:
    """A local model with a linear head that answers with the target logits that the opaque model was read to give.

    Args:
        model: Local, with gradients.
        weight: (F, K).
        bias: (K,).
    """

    access = Access.GRADIENTS

    def __init__(self, model: Model, weight: Tensor, bias: Tensor) -> None:
        self.model, self.weight, self.bias = model, weight, bias
        self.spec: ModelSpec = replace(
            model.spec,
            name=f"{model.spec.name}, head",
            num_outputs=len(bias),
            answer=AnswerKind.LOGITS,
            labels=None,
        )

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images with logits (N, K)."""
        return self.model(images) @ self.weight + self.bias


def load_surrogate(parts: Parts) -> Model:
    """Loads the local model of `--surrogate`.

    Raises:
        AccessError: It gives no gradients.
    """
    config = parts.config
    weights = Path(config.search.surrogate_weights) if config.search.surrogate_weights else None
    model = load_model(config.search.surrogate or "", weights=weights, device=parts.device)
    if model.access < Access.GRADIENTS:
        raise AccessError(f"the surrogate {model.spec.name} gives no gradients; name a differentiable local model.")
    return model


def surrogate_starts(session: Session, plain: Choice) -> list[Start]:
    """Learns a prompt on the surrogate, and returns it in the strengths that are worth a try on the opaque model.

    The surrogate reads the images by their labels, with a linear head of its own (`--mimic labels`), or by a linear
    head that was fitted to the opaque model's answers (`--mimic answers`, as AReS does).

    Raises:
        AccessError: The surrogate gives no gradients.
    """
    parts, config = session.parts, session.parts.config
    model = load_surrogate(parts)
    shrink = config.prompt.fit == "shrink"
    local = Resized(model, parts.spec.image_size)
    theta = _learned(session, local, plain, shrink)
    base = parts.template.init(generator=stream(config.seed, "init"))
    return [
        Start(f"surrogate x {share}", parts.template.project(base + share * (theta - base)), shrink)
        for share in SURROGATE_SHARES
    ]


def _learned(session: Session, local: Resized, plain: Choice, shrink: bool) -> Tensor:
    """Runs the gradient engine on the surrogate and returns the last theta, (P,).

    The validation images stay unseen: on them the opaque model will be asked whether this prompt is worth having.
    """
    own, defaults = session.parts.config, METHODS["pixel"].defaults
    recipe = {name: defaults[name] for name in ("optimizer", "lr", "warmup", "batch_size")}
    epochs = own.fit.epochs or defaults["epochs"]
    config = own.with_values(method="pixel", **recipe, epochs=epochs, output="linear")
    parts = replace(session.parts, model=local, counted=DirectQuerier(local), config=config, floor=None)
    parts = replace(parts, canvas=parts.fitted(shrink))
    train = session.canvases("train", shrink=shrink)()
    first = parts.data.train.subset([0])
    glance = canvases_of(first, parts.canvas, config.data.workers, Silent(), "read")
    session.reporter.stage("surrogate", len(train.labels))
    if config.search.mimic == "answers":
        chosen = session.order[: len(session.head.labels)]
        features = ask_all(local, session.canvases("train", shrink=False)(), device=parts.device).outputs[chosen]
        read = plain.heads.logits(session.head.outputs, session.folds[chosen])
        weight, bias = ridge(features, log_softmax(read, dim=1))
        mimic = Mimic(local, weight.to(parts.device), bias.to(parts.device))
        parts = replace(parts, model=mimic, counted=DirectQuerier(mimic))
        output = parts.output("first-k")  # its outputs are the classes, in their order
    else:
        answered = ask_all(local, train, device=parts.device, reporter=session.reporter)
        output = parts.output("linear").refit(answered.outputs, answered.labels)
    adapter = PixelPrompt(
        parts.template, parts.counted, output.to(parts.device), generator=stream(config.seed, "init")
    ).to(parts.device)
    seen, shown = (Images(adapter, split, parts.device) for split in (train, glance))
    work = GradientFit.of(config, adapter, seen, shown, Silent(), device=parts.device)
    fit(work, epochs=work.epochs)
    return adapter.theta.detach().cpu()


def ridge(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Fits targets (N, K) as a linear function of features (N, F), the penalty chosen by leave-one-out.

    Returns:
        Weight (F, K) and bias (K,), float32.
    """
    inputs, wanted = features.double(), targets.double()
    center, mean = inputs.mean(0), wanted.mean(0)
    scale = inputs.std(0).clamp_min(1e-6)
    inputs, wanted = (inputs - center) / scale, wanted - mean
    left, values, right = torch.linalg.svd(inputs, full_matrices=False)
    best, least = _PENALTIES[0], float("inf")
    for penalty in _PENALTIES:
        shrinkage = values**2 / (values**2 + penalty * len(inputs))
        fitted = (left * shrinkage) @ (left.T @ wanted)
        leverage = (left**2 @ shrinkage + 1 / len(inputs)).clamp_max(1 - 1e-9)
        error = float((((wanted - fitted) / (1 - leverage).unsqueeze(1)) ** 2).mean())
        if error < least:
            best, least = penalty, error
    solved = right.T @ ((values / (values**2 + best * len(inputs))).unsqueeze(1) * (left.T @ wanted))
    weight = solved / scale.unsqueeze(1)
    return weight.float(), (mean - center @ weight).float()
