"""From a configuration to the parts of a run: model, data, canvases, template, output transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ..backbones.local_features import LocalFeatures
from ..canvas import Canvas
from ..core import ConfigError, Model, ModelSpec, OutputTransform, RangeError
from ..data import CanvasSet, Data, ImageSet, load_images, make_canvases
from ..files import file_sha256
from ..models import DirectQuerier, DualEncoder, load_model, local_net, text_encoder
from ..outputs import OUTPUTS, make_output, texts_for, words_for
from ..seeds import stream
from ..templates import Add, Blend, Over, PixelTemplate, make_template
from .config.presets import uses_model_units
from .config.train_config import TrainConfig
from .inputs.devices import pick_device
from .inputs.run_inputs import open_inputs
from .progress import Reporter

__all__ = [
    "Parts",
    "build",
    "canvases_of",
    "model_output",
    "prompt_canvas",
    "template_of",
]

_WITH_TEXT = ("attributes", "residual", "reweighted", "semantic", "text")


@dataclass(frozen=True)
class Parts:
    """Everything that a run needs, built and checked."""

    config: TrainConfig
    model: Model
    counted: DirectQuerier
    data: Data
    plain: Canvas
    canvas: Canvas
    device: str
    weights_sha256: str
    mode: str = "gradients"
    """See `RunInputs`, as for `words`."""
    floor: float | None = None
    """What a probability of 0 stands for, where the answers have shown how they are rounded."""
    words: tuple[str, ...] = ()
    student: LocalFeatures | None = None
    """The local model that learns from what the run pays for."""
    unlabelled: ImageSet | None = None
    """Images that the model is asked about for the student."""

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        return self.model.spec if self.floor is None else replace(self.model.spec, floor=self.floor)

    @cached_property
    def template(self) -> PixelTemplate:
        """Of a pixel prompt; white-box methods have none."""
        return template_of(self.config, self.model)

    @property
    def starts_plain(self) -> bool:
        """Whether the first prompt changes nothing, so that its outputs are the baseline ones."""
        return self.canvas == self.plain and self.template.blend.starts_blank

    def facts(self) -> dict[str, Any]:
        """Returns what an adapter file says of the run that made it."""
        return {"canvas": self.plain.to_json(), "weights_sha256": self.weights_sha256, "seed": self.config.seed}

    def fitted(self, shrink: bool) -> Canvas:
        """Returns the canvas of an image that is shrunk into the template's frame, or fills it."""
        return prompt_canvas(self.plain, self.template.geometry.frame if shrink else 0)

    def output(self, kind: str | None = None, *, views: int = 1) -> OutputTransform:
        """Builds an output transform of answers under so many views, not yet fitted; by default the configured one."""
        config = self.config
        kind = kind or config.output.kind or ""
        kind = "ridge" if kind == "auto" else kind  # beside which a prompt is learned by gradients
        is_own = kind == config.output.kind or config.output.kind == "auto"  # the others compete as they are
        return model_output(
            kind,
            self.model,
            self.data,
            spec=self.spec,
            seed=config.seed,
            text=config.output.text,
            mapping_file=Path(config.output.mapping) if config.output.mapping and kind == config.output.kind else None,
            encode_text=self._encode_text if kind in _WITH_TEXT else None,
            constants={name: getattr(config.output, name) for name in OUTPUTS[kind].constants if is_own},
            views=views,
        ).to(self.device)

    @cached_property
    def _encode_text(self) -> Callable[[Sequence[str]], Tensor] | None:
        """The text side of `--text-encoder`, or of the model itself; None where there is none."""
        encoder = (
            load_model(self.config.output.text_encoder, device=self.device)
            if self.config.output.text_encoder
            else self.model
        )
        if self.config.output.text_encoder and text_encoder(encoder) is None:
            raise ConfigError(
                f"--text-encoder {self.config.output.text_encoder!r} has no text side; give a CLIP-like model."
            )
        return text_encoder(encoder)


def build(
    config: TrainConfig, *, model: Model | None = None, data: Data | None = None, pretrained: bool = True
) -> Parts:
    """Builds the parts of a run.

    Args:
        config: What to build; None fields are filled in by the preset.
        model: Used instead of `config.model.name`.
        data: Used instead of `config.data.name`.
        pretrained: Whether the model needs its weights; a plan does not.

    Raises:
        AccessError: The model does not give the gradients that the method needs.
        ConfigError: The settings do not go together.
    """
    inputs = open_inputs(config, model=model, data=data, pretrained=pretrained)
    config, model, frame = inputs.config, inputs.model, 0
    device = inputs.device or pick_device(config.model.device)
    if config.fit.compile:
        local_net(model, "--compile").compile_layers()
    if not config.method.white_box and inputs.mode != "views":
        frame = _frame(config, template_of(config, model))
    plain = Canvas.for_model(model.spec, crop_pct=config.data.crop, aspect=config.data.aspect)
    return Parts(
        config=config,
        model=model,
        counted=DirectQuerier(model),
        data=inputs.data,
        plain=plain,
        canvas=prompt_canvas(plain, frame),
        device=device,
        weights_sha256=file_sha256(config.model.weights) if config.model.weights else "",
        mode=inputs.mode,
        words=inputs.words,
        student=_student(config, device),
        unlabelled=load_images(config.search.student_images) if config.search.student_images else None,
    )


def _student(config: TrainConfig, device: str) -> LocalFeatures | None:
    search = config.search
    if search.student is None:
        return None
    return LocalFeatures(load_model(search.student, weights=search.student_weights, device=device))


def model_output(
    kind: str,
    model: Model,
    data: Data,
    *,
    spec: ModelSpec | None = None,
    seed: int = 0,
    text: str | None = None,
    mapping_file: Path | None = None,
    encode_text: Callable[[Sequence[str]], Tensor] | None = None,
    constants: Mapping[str, Any] = MappingProxyType({}),
    views: int = 1,
) -> OutputTransform:
    """Builds an output transform, not yet fitted, from a model's answers to the classes of a data set.

    Args:
        kind: A name of `outputs.OUTPUTS`.
        model: Whose text side, if it has one, gives the scale of the similarities.
        data: Whose classes, and the texts and words written for them, are used.
        spec: Instead of the model's own.
        text: Template or file of texts, instead of those written for the data.
        mapping_file: Of the kinds "given", "attributes" and "reweighted".
        encode_text: T texts -> (T, D) embeddings.
        constants: Further arguments of `make_output`.
        views: How many answers about each image it reads.
    """
    return make_output(
        kind,
        classes=data.classes,
        spec=spec or model.spec,
        seed=stream(seed, "output").initial_seed(),
        mapping_file=mapping_file,
        texts=texts_for(data.name, text),
        words=words_for(data.name, data.classes, text),
        encode_text=encode_text,
        views=views,
        logit_scale=model.logit_scale if isinstance(model, DualEncoder) else 100.0,
        **constants,
    )


def template_of(config: TrainConfig, model: Model) -> PixelTemplate:
    """Builds the template of a pixel prompt for a model.

    Raises:
        ConfigError: The settings do not go together.
    """
    return make_template(
        config.prompt.template or "",
        canvas_size=model.spec.image_size,
        size=config.prompt.size,
        blend=_checked_blend(config, model),
        place=config.prompt.place,
    )


def _frame(config: TrainConfig, template: PixelTemplate) -> int:
    """Returns the width of the frame that the image is shrunk into; 0 where it is not."""
    if config.prompt.fit != "shrink":
        return 0
    if template.geometry.frame == 0:
        raise ConfigError(
            f"fit 'shrink' needs a template that leaves an inside (padding), got {config.prompt.template!r}."
        )
    return template.geometry.frame


def prompt_canvas(plain: Canvas, frame: int) -> Canvas:
    """Returns the canvas under a prompt: the plain one, or with the image shrunk into a frame, then without a zoom."""
    return plain if frame == 0 else replace(plain, fit="shrink", frame=frame, crop_pct=1.0)


def canvases_of(images: ImageSet, canvas: Canvas, workers: int, reporter: Reporter, stage: str) -> CanvasSet:
    """Makes canvases as a stage of its own, from the cache where it has them."""
    reporter.stage(stage, len(images))
    return make_canvases(images, canvas, workers=workers, on_image=reporter.advance)


def _checked_blend(config: TrainConfig, model: Model) -> Blend:
    try:
        return _blend(config, model)
    except RangeError as error:
        raise ConfigError(str(error)) from error


def _blend(config: TrainConfig, model: Model) -> Blend:
    start = config.prompt.start or "flat"
    if config.prompt.space == "unclamped" and config.prompt.blend != "add":
        raise ConfigError("space 'unclamped' needs blend 'add'; use space 'pixel'.")
    if config.prompt.blend == "add":
        if not uses_model_units(config):
            return Add(start=start, delta_scale=config.prompt.delta_scale)
        std = local_net(model, "a prompt in units of the model's normalisation").std
        red, green, blue = std.flatten().tolist()
        return Add(unit=(red, green, blue), start=start, delta_scale=config.prompt.delta_scale)
    if config.prompt.opacity == "learned":
        return Over(opacity=None, start=start)
    try:
        return Over(opacity=float(config.prompt.opacity), start=start)
    except ValueError as error:
        raise ConfigError(f"opacity must be a number in (0, 1] or 'learned', got {config.prompt.opacity!r}.") from error
