"""A prompt learned by gradients on a local model, as a start for the model that is queried: this costs no query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from ....adapters import METHODS, PixelPrompt
from ....canvas import Canvas
from ....core import Access, AccessError, ConfigError, Model
from ....ledger import Querier
from ....models import DirectQuerier, load_model
from ....seeds import stream
from ...answers import query_canvases
from ...parts import Parts
from ...progress import Silent
from ...session import Session
from ..gradients.epochs import fit
from ..gradients.gradient import GradientFit
from ..gradients.inputs import Images
from .cross_fit import Choice
from .first_answers import FirstAnswers
from .initial_prompts import SURROGATE_SHARES, Start
from .local_models import Degraded, Mimic, Resized, SideBySide

__all__ = ["Surrogate", "ridge"]

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class Surrogate:
    """The local models of `--surrogate`: what helps several of them is likelier to help another one (TVP).

    Raises:
        AccessError: One gives no gradients.
        ConfigError: There are not as many weights files as models.
    """

    def __init__(self, parts: Parts) -> None:
        search = parts.config.search
        names = (search.surrogate or "").split(",")
        files = search.surrogate_weights.split(",") if search.surrogate_weights else [""] * len(names)
        if len(files) != len(names):
            raise ConfigError(
                f"--surrogate names {len(names)} models, and --surrogate-weights {len(files)} files; give as many, in "
                "the same order, with nothing between two commas for weights that the name brings."
            )
        models: list[Model] = []
        for name, file in zip(names, files, strict=True):
            model = load_model(name.strip(), weights=Path(file.strip()) if file.strip() else None, device=parts.device)
            if model.access < Access.GRADIENTS:
                raise AccessError(
                    f"the surrogate {model.spec.name} gives no gradients; name a differentiable local model."
                )
            models.append(Resized(model, parts.spec.image_size))
        self.model = models[0] if len(models) == 1 else SideBySide(models)

    def starts(
        self, session: Session[Querier], first: FirstAnswers | None = None, plain: Choice | None = None
    ) -> list[Start]:
        """Learns a prompt locally, and returns it in the strengths that are worth a try on the queried model.

        The surrogate reads the images by their labels, with a linear head of its own (`--mimic labels`), or by a linear
        head that was fitted to the queried model's answers (`--mimic answers`, as AReS does).

        Args:
            first: The queried model's answers without a prompt; labels serve without them.
            plain: The output transform that reads them.
        """
        parts, config = session.parts, session.parts.config
        shrink = config.prompt.fit == "shrink"
        theta = self._learned(session, first, plain, parts.fitted(shrink))
        base = parts.template.init(generator=stream(config.seed, "init"))
        return [
            Start(f"surrogate x {share}", parts.template.project(base + share * (theta - base)), shrink)
            for share in SURROGATE_SHARES
        ]

    def _learned(
        self, session: Session[Querier], first: FirstAnswers | None, plain: Choice | None, canvas: Canvas
    ) -> Tensor:
        """Runs the gradient engine on the surrogate and returns the last theta, (P,).

        The validation images stay unseen: the queried model is to show on them whether this prompt helps.
        """
        own, defaults = session.parts.config, METHODS["pixel"].defaults
        recipe = {name: defaults[name] for name in ("optimizer", "lr", "warmup", "batch_size")}
        epochs = own.fit.epochs or defaults["epochs"]
        config = own.with_values(method="pixel", **recipe, epochs=epochs, output="linear")
        local, train = self.model, session.canvases("train", canvas)
        degraded = Degraded(local, stream(own.seed, "degradation"))
        parts = replace(
            session.parts, model=degraded, counted=DirectQuerier(degraded), config=config, floor=None, canvas=canvas
        )
        session.reporter.stage("surrogate", len(train.labels))
        if config.search.mimic == "answers" and first is not None and plain is not None:
            plain_canvases = session.canvases("train", parts.plain)
            features = query_canvases(local, plain_canvases, first.positions, device=parts.device).outputs
            read = plain.heads.logits(first.answered.outputs, first.folds[first.positions])
            weight, bias = ridge(features, log_softmax(read, dim=1))
            mimic = Mimic(degraded, weight.to(parts.device), bias.to(parts.device))
            parts = replace(parts, model=mimic, counted=DirectQuerier(mimic))
            output = parts.output("first-k")  # its outputs are the classes, in their order
        else:
            answered = query_canvases(local, train, device=parts.device, reporter=session.reporter)
            output = parts.output("linear").refit(answered.outputs, answered.labels)
        adapter = PixelPrompt(
            parts.template, parts.counted, output.to(parts.device), generator=stream(config.seed, "init")
        ).to(parts.device)
        images = Images(adapter, train, parts.device)
        work = GradientFit.of(config, adapter, images, None, Silent(), device=parts.device)
        fit(work, epochs=work.epochs)
        return adapter.theta.detach().cpu()


def ridge(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Fits targets (N, K) as a linear function of features (N, F), the penalty chosen by leave-one-out.

    Returns:
        Weight (F, K) and bias (K,), float32.
    """
    inputs, logits = features.double(), targets.double()
    center, mean = inputs.mean(0), logits.mean(0)
    scale = inputs.std(0).clamp_min(1e-6)
    inputs, logits = (inputs - center) / scale, logits - mean
    u, values, vh = torch.linalg.svd(inputs, full_matrices=False)
    best, least = _PENALTIES[0], float("inf")
    for penalty in _PENALTIES:
        shrinkage = values**2 / (values**2 + penalty * len(inputs))
        fitted = (u * shrinkage) @ (u.T @ logits)
        leverage = (u**2 @ shrinkage + 1 / len(inputs)).clamp_max(1 - 1e-9)
        error = float((((logits - fitted) / (1 - leverage).unsqueeze(1)) ** 2).mean())
        if error < least:
            best, least = penalty, error
    solved = vh.T @ ((values / (values**2 + best * len(inputs))).unsqueeze(1) * (u.T @ logits))
    weight = solved / scale.unsqueeze(1)
    return weight.float(), (mean - center @ weight).float()
