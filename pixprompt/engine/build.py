"""From a configuration to the parts of a run: model, data, canvases, template, output transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..adapters import METHODS
from ..canvas import Canvas
from ..core import ConfigError, Model, ModelSpec, OutputTransform
from ..data import CanvasSet, Data, ImageSet, load_data, make_canvases
from ..models import Counted, DualEncoder, TorchModel, load_model
from ..outputs import make_output, output_from_json, texts_for, words_for
from ..templates import Add, Blend, Over, PixelTemplate, make_template
from .config import TrainConfig
from .presets import resolve, uses_model_units
from .report import Reporter

__all__ = ["Parts", "Split", "build", "canvases_of", "pick_autocast", "pick_device", "plain_canvas", "prompt_canvas"]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """The canvases of one split, without prompt in mind and for the prompt; the same object where they agree."""

    plain: CanvasSet
    prompt: CanvasSet


@dataclass(frozen=True)
class Parts:
    """Everything that a run needs, built and checked."""

    config: TrainConfig
    model: Model
    counted: Counted
    data: Data
    template: PixelTemplate
    plain: Canvas
    canvas: Canvas
    device: str

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        return self.model.spec

    @property
    def starts_plain(self) -> bool:
        """Whether the first prompt changes nothing, so that the plain answers are the first prompted ones as well."""
        return self.canvas == self.plain and self.template.blend.starts_blank

    def output(self, kind: str | None = None) -> OutputTransform:
        """Builds an output transform, not yet fitted; the one that the configuration names by default."""
        config, dual = self.config, self.model if isinstance(self.model, DualEncoder) else None
        return make_output(
            kind or config.output or "",
            classes=self.data.classes,
            spec=self.spec,
            seed=config.seed,
            mapping_file=Path(config.mapping) if config.mapping and kind is None else None,
            texts=texts_for(self.data.name, config.text),
            words=words_for(self.data.name, self.data.classes, config.text),
            encode_text=_text_side(config, dual, self.device),
            logit_scale=dual.logit_scale if dual else 100.0,
        ).to(self.device)

    def revive(self, values: dict[str, Any]) -> OutputTransform:
        """Builds an output transform from its JSON."""
        return output_from_json(values, spec=self.spec).to(self.device)

    def split(self, name: str, reporter: Reporter) -> Split:
        """Makes the canvases of train, val or test."""
        images: ImageSet = {"train": self.data.train, "val": self.data.val, "test": self.data.test}[name]
        plain = canvases_of(images, self.plain, self.config.workers, reporter, f"read {name}")
        if self.canvas == self.plain:
            return Split(plain, plain)
        return Split(plain, canvases_of(images, self.canvas, self.config.workers, reporter, f"read {name}"))


def build(config: TrainConfig, *, model: Model | None = None, data: Data | None = None) -> Parts:
    """Builds the parts of a run.

    Args:
        config: What to build; None fields are filled in by the preset.
        model: Used instead of `config.model`.
        data: Used instead of `config.data`.

    Raises:
        ConfigError: The settings do not go together.
    """
    METHODS[config.method]
    device = pick_device(config.device)
    model = model or load_model(config.model, weights=Path(config.weights) if config.weights else None, device=device)
    config = resolve(config, model.spec)
    data = data or load_data(config.data, seed=config.seed, shots=config.shots)
    template = make_template(
        config.template,
        canvas_size=model.spec.image_size,
        size=config.size,
        blend=_blend(config, model),
        place=config.place,
    )
    plain, frame = plain_canvas(model.spec, config.crop), 0
    if config.fit == "shrink":
        frame = template.geometry.frame
        if frame == 0:
            raise ConfigError(
                f"fit 'shrink' needs a template that leaves an inside (padding), got {config.template!r}."
            )
    return Parts(
        config=config,
        model=model,
        counted=Counted(model),
        data=data,
        template=template,
        plain=plain,
        canvas=prompt_canvas(plain, frame),
        device=device,
    )


def plain_canvas(spec: ModelSpec, crop: float | None = None) -> Canvas:
    """Returns the canvas of the model's own evaluation setting, or with another centre crop."""
    kept = spec.crop_pct if crop is None else crop
    return Canvas(spec.image_size, resample=spec.resample, crop_pct=kept, aspect=spec.aspect)


def prompt_canvas(plain: Canvas, frame: int) -> Canvas:
    """Returns the canvas under a prompt: the plain one, or with all of the image shrunk into a frame."""
    return plain if frame == 0 else replace(plain, fit="shrink", frame=frame, crop_pct=1.0)


def canvases_of(images: ImageSet, canvas: Canvas, workers: int, reporter: Reporter, stage: str) -> CanvasSet:
    """Makes canvases as a stage of its own, from the cache where it has them."""
    reporter.stage(stage, len(images))
    return make_canvases(images, canvas, workers=workers, on_image=reporter.advance)


def pick_device(name: str) -> str:
    """Resolves "auto", and checks that the device is there.

    Raises:
        ConfigError: torch does not know or have the device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} is not available ({error}). Use --device cpu or auto.") from error
    return name


def pick_autocast(precision: str, device: str) -> torch.dtype | None:
    """Returns the type of training steps, or None for plain float32; "auto" takes bf16 where the hardware has it."""
    if precision == "fp32":
        return None
    if precision == "bf16":
        return torch.bfloat16
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    abilities: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # younger than the oldest torch that we support
    return torch.bfloat16 if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else None


def _blend(config: TrainConfig, model: Model) -> Blend:
    start = config.start or "flat"
    if config.blend == "add":
        if not uses_model_units(config):
            return Add(start=start, delta_scale=config.delta_scale)
        if not isinstance(model, TorchModel):
            raise ConfigError("parameters in units of the model's normalisation need a local torch model.")
        red, green, blue = (float(value) for value in model.std.flatten())
        return Add(unit=(red, green, blue), start=start, delta_scale=config.delta_scale)
    if config.opacity == "learned":
        return Over(opacity=None, start=start)
    try:
        return Over(opacity=float(config.opacity), start=start)
    except ValueError as error:
        raise ConfigError(f"opacity must be a number in (0, 1] or 'learned', got {config.opacity!r}.") from error


def _text_side(config: TrainConfig, dual: DualEncoder | None, device: str) -> Callable[..., torch.Tensor] | None:
    if config.text_encoder is not None:
        encoder = load_model(config.text_encoder, device=device)
        if not isinstance(encoder, DualEncoder):
            raise ConfigError(f"--text-encoder {config.text_encoder!r} has no text side; give a CLIP-like model.")
        return encoder.encode_text
    return dual.encode_text if dual else None
