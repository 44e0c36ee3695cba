"""BlackVIP's coordinator: a prompt for each image, decoded from its features under a frozen local encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, conv_transpose2d, gelu, group_norm, interpolate, normalize

from ..core import ConfigError, Model, PromptError, RangeError, ShapeError
from ..files import file_sha256
from ..models import load_model
from ..templates import PixelTemplate

__all__ = ["Coordinator", "CoordinatorSpec", "load_encoder", "make_coordinator"]

_FIRST_SIDE = 7
"""Of the first, smallest map of the decoder, as published."""
_LAST_SIZE = 0.05
"""Size of the decoder's last layer at the start, as a share of what gives activations of about 1."""
_GELU_POWER = 0.42
"""Mean square of gelu(z), z normal: what the last layer sees."""


@dataclass(frozen=True)
class CoordinatorSpec:
    """What is needed to build a coordinator again, besides its parameters.

    Attributes:
        weights_sha256: Digest of the encoder's weights file; empty where there was none.
        num_features: F, the length of the encoder's answers.
        image_size: (height, width) of the prompted images.
        min_trigger: The learned trigger vector is the shortest one, not below this length, with which features and
            trigger fill whole 7x7 maps. BlackVIP has 800 beside 768 features; fewer parameters need fewer queries.
        width: Channels of the decoder.
        epsilon: Largest change of a pixel value, in (0, 1]. BlackVIP's 1 in CLIP-normalised units is about 0.27.
    """

    encoder: str
    weights_sha256: str
    num_features: int
    image_size: tuple[int, int]
    min_trigger: int = 80
    width: int = 16
    epsilon: float = 0.25

    def __post_init__(self) -> None:
        for name, least in (("min_trigger", 0), ("width", 1), ("num_features", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"the coordinator's {name} must be at least {least}, got {getattr(self, name)}.")
        if not 0 < self.epsilon <= 1:
            raise RangeError(f"the coordinator's epsilon must lie in (0, 1], got {self.epsilon}.")

    @property
    def num_maps(self) -> int:
        """Channels of the first map."""
        return -(-(self.num_features + self.min_trigger) // _FIRST_SIDE**2)

    @property
    def num_trigger(self) -> int:
        """Length of the trigger vector."""
        return self.num_maps * _FIRST_SIDE**2 - self.num_features

    @property
    def num_doublings(self) -> int:
        """Layers that double the side, from 7 to about the image's: 5 for 224, which they hit exactly."""
        return max(1, round(math.log2(max(self.image_size) / _FIRST_SIDE)))

    def to_json(self) -> dict[str, Any]:
        """Returns all attributes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CoordinatorSpec:
        """Reads what `to_json` returned, from a file.

        Raises:
            PromptError: The values are damaged or foreign.
        """
        try:
            height, width = (int(side) for side in values["image_size"])
            return cls(**{**values, "image_size": (height, width)})
        except (TypeError, KeyError, ValueError) as error:
            raise PromptError(f"the description of a coordinator is damaged: {error}.") from error


class Coordinator:
    """x (D,) -> clamp(image + epsilon * tanh(decoder(features(image), trigger)), 0, 1) in 8-bit values.

    The features are the encoder's answers, scaled to unit length; with the trigger vector they fill maps of 7x7. Each
    layer of the decoder doubles the side: a depthwise transposed convolution, a pointwise one, GroupNorm and GELU.
    GroupNorm, over all channels of one image, keeps no statistics: the forwards of perturbed candidates leave no
    trace, and an image's prompt does not depend on its batch. (BlackVIP has BatchNorm.)

    x holds the trigger and all weights, divided by one factor with which the last layer, the one that matters most at
    the start, moves pixels by an RMS of |dx| / sqrt(D). The last layer starts small instead of at zero: the first
    prompts are about 2/255, yet every layer has an effect that a finite difference can see.

    Args:
        encoder: Any local model; it is queried once per batch of images and never changed.
        spec: Sizes, and the encoder that they belong to (see `CoordinatorSpec`).
        weights_sha256: Digest of the weights file of this encoder; empty where there is none.

    Raises:
        PromptError: The encoder is not the one that the spec was made for.

    Reference: BlackVIP, arXiv 2303.14773, section 4.1.
    """

    per_image = True

    def __init__(self, encoder: Model, spec: CoordinatorSpec, *, weights_sha256: str = "") -> None:
        _check_encoder(encoder, spec, weights_sha256)
        self.encoder, self.spec = encoder, spec
        self._shapes = dict(_shapes(spec))
        self._gain = 1 / (spec.epsilon * math.sqrt(_GELU_POWER * self._shapes["last.pointwise"][1] + 1))
        self._last: tuple[Tensor, int, Tensor] | None = None

    @classmethod
    def beside(
        cls, encoder: Model, image_size: tuple[int, int], *, weights_sha256: str = "", **sizes: Any
    ) -> Coordinator:
        """Builds a new coordinator on an encoder.

        Args:
            image_size: (height, width) of the images to prompt.
            weights_sha256: Digest of the encoder's weights file; empty where there is none.
            sizes: min_trigger, width, epsilon of `CoordinatorSpec`.
        """
        answers = encoder.spec
        spec = CoordinatorSpec(answers.name, weights_sha256, answers.num_outputs, image_size, **sizes)
        return cls(encoder, spec, weights_sha256=weights_sha256)

    @property
    def num_params(self) -> int:
        """D: 2,834 on 1,000 features at 224x224."""
        return sum(math.prod(shape) for shape in self._shapes.values())

    def start(self, *, generator: Generator) -> Tensor:
        """Returns weights that keep the size of activations, a trigger from U(0, 0.1) and a small last layer."""
        tensors = {name: _first(name, shape, generator) for name, shape in self._shapes.items()}
        return self.from_tensors(tensors)

    def to_tensors(self, x: Tensor) -> dict[str, Tensor]:
        """Returns the trigger and the weights by name, float32, for a safetensors file."""
        if x.shape != (self.num_params,):
            raise ShapeError(f"expected x ({self.num_params},), got {tuple(x.shape)}.")
        parts = torch.split(x.float() * self._gain, [math.prod(shape) for shape in self._shapes.values()])
        return {name: part.reshape(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def from_tensors(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Returns the x (D,) of what `to_tensors` returned.

        Raises:
            PromptError: Tensors are missing, unexpected or of another shape.
        """
        shapes, expected = {name: tuple(tensor.shape) for name, tensor in tensors.items()}, self._shapes
        if shapes != expected:
            different = sorted(
                name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name)
            )
            name = different[0]
            raise PromptError(
                f"the weights do not fit this coordinator: {name} is {shapes.get(name, 'missing')}, expected "
                f"{expected.get(name, 'nothing')} ({len(different)} of {len(expected)} tensors differ)."
            )
        return torch.cat([tensors[name].float().flatten() for name in self._shapes]) / self._gain

    @torch.no_grad()
    def deltas(self, images: Tensor, x: Tensor) -> Tensor:
        """Returns what is added to the images, neither clamped nor rounded.

        Args:
            images: (N, 3, H, W) in [0, 1]; not written to.
            x: (D,).

        Returns:
            (N, 3, H, W) float32 in [-epsilon, epsilon].

        Raises:
            ShapeError: The images have another size than the coordinator, or x has.
        """
        if images.dim() != 4 or images.shape[1:] != (3, *self.spec.image_size):
            height, width = self.spec.image_size
            raise ShapeError(f"expected images (N, 3, {height}, {width}), got {tuple(images.shape)}.")
        weights = self.to_tensors(x.to(images.device))
        # Never under autocast: half precision destroys small finite differences.
        with torch.autocast(images.device.type, enabled=False):
            features = self._features(images)
            maps = torch.cat([features, weights["trigger"].expand(len(features), -1)], dim=1)
            decoded = _decode(maps.view(len(maps), -1, _FIRST_SIDE, _FIRST_SIDE), weights, self.spec.num_doublings)
            if decoded.shape[2:] != self.spec.image_size:
                decoded = interpolate(decoded, self.spec.image_size, mode="bilinear", align_corners=False)
            return self.spec.epsilon * decoded.tanh()

    def __call__(self, images: Tensor, x: Tensor, /) -> Tensor:
        """Returns the prompted images (N, 3, H, W), 8-bit values k / 255."""
        return ((images + self.deltas(images, x)).clamp(0, 1) * 255).round() / 255

    def _features(self, images: Tensor) -> Tensor:
        """Queries the encoder, once for all candidates that are tried on the same tensor in turn."""
        if self._last and self._last[0] is images and self._last[1] == images._version:
            return self._last[2]
        size = self.encoder.spec.image_size
        inputs = images.float()
        if inputs.shape[2:] != size:
            inputs = interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        features = normalize(self.encoder(inputs).float(), dim=1)
        # Tensors of inference mode have no version, which shows when a tensor is written to.
        self._last = None if images.is_inference() else (images, images._version, features)
        return features


def make_coordinator(
    template: PixelTemplate, *, encoder: str, encoder_weights: str | None = None, device: str = "cpu"
) -> Coordinator:
    """Makes a new coordinator for images of the template's size.

    Args:
        template: Its size is read; a coordinator prompts the whole image.
        encoder_weights: A file to take its weights from.
    """
    model, digest = load_encoder(encoder, encoder_weights, device=device)
    return Coordinator.beside(model, template.geometry.size, weights_sha256=digest)


def load_encoder(name: str, weights: str | None, *, device: str) -> tuple[Model, str]:
    """Loads an encoder, with the digest of its weights file; empty where there is none."""
    model = load_model(name, weights=Path(weights) if weights else None, device=device)
    return model, file_sha256(weights) if weights else ""


def _shapes(spec: CoordinatorSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights, in the order in which x holds them."""
    yield "trigger", (spec.num_trigger,)
    channels = spec.num_maps
    for i in range(spec.num_doublings - 1):
        yield f"{i}.depthwise", (channels, 1, 4, 4)
        yield f"{i}.pointwise", (spec.width, channels, 1, 1)
        yield f"{i}.scale", (spec.width,)
        yield f"{i}.shift", (spec.width,)
        channels = spec.width
    yield "last.depthwise", (channels, 1, 4, 4)
    yield "last.pointwise", (3, channels, 1, 1)
    yield "last.shift", (3,)


def _first(name: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    layer, _, kind = name.rpartition(".")
    if kind == "trigger":
        return 0.1 * torch.rand(shape, generator=generator)
    if kind in ("scale", "shift"):
        return torch.full(shape, float(kind == "scale"))
    # 4 of the 16 taps reach each pixel of a map of doubled side.
    fan_in = 4 if kind == "depthwise" else shape[1]
    size = _LAST_SIZE if (layer, kind) == ("last", "pointwise") else 1.0
    return torch.randn(shape, generator=generator) * (size / math.sqrt(fan_in))


def _decode(maps: Tensor, weights: Mapping[str, Tensor], num_doublings: int) -> Tensor:
    """Maps (N, C, 7, 7) -> (N, 3, 7 * 2^n, 7 * 2^n)."""
    for layer in [*map(str, range(num_doublings - 1)), "last"]:
        depthwise = weights[f"{layer}.depthwise"]
        maps = conv_transpose2d(maps, depthwise, stride=2, padding=1, groups=len(depthwise))
        if layer == "last":
            return conv2d(maps, weights["last.pointwise"], weights["last.shift"])
        maps = conv2d(maps, weights[f"{layer}.pointwise"])
        maps = gelu(group_norm(maps, 1, weights[f"{layer}.scale"], weights[f"{layer}.shift"]))
    return maps


def _check_encoder(encoder: Model, spec: CoordinatorSpec, weights_sha256: str) -> None:
    mismatch = f"this coordinator reads the features of {spec.encoder!r}"
    if encoder.spec.num_outputs != spec.num_features:
        answers = f"{encoder.spec.name!r} answers {encoder.spec.num_outputs}"
        raise PromptError(f"{mismatch}, {spec.num_features} numbers; {answers}.")
    if weights_sha256 and spec.weights_sha256:
        if weights_sha256 != spec.weights_sha256:
            raise PromptError(f"{mismatch} with the weights {spec.weights_sha256[:12]}, got {weights_sha256[:12]}.")
    elif encoder.spec.name != spec.encoder:
        raise PromptError(f"{mismatch}, got {encoder.spec.name!r}.")
