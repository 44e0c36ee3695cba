"""How an image becomes the 8-bit canvas that a prompt is laid on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core import ConfigError, ModelSpec, PromptError
from ..registry import suggest
from .tone import Tone

__all__ = ["ASPECTS", "FILTERS", "FITS", "MAX_CANVAS_PIXELS", "MOST_ASPECT", "Canvas", "Pixels"]

Pixels = npt.NDArray[np.uint8]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FITS = ("resize", "shrink")
ASPECTS = ("crop", "squash", "letterbox")
MAX_CANVAS_PIXELS = 2**24
"""Of a canvas before its centre is cut out: what a prompt file may ask of the machine that applies it."""

MOST_ASPECT = 16
"""Times the aspect of its box: a longer image is cut in its middle before it is resized."""

_PLACED = "place"
_LARGEST_BOX = 4
"""Times the canvas, on each side; a larger box would show a few pixels of the image, at the price of a giant resize."""
_QUARTER = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


@dataclass(frozen=True)
class Canvas:
    """How an image becomes the canvas that a prompt is laid on.

    The image is flipped, turned, fitted into its box (the whole canvas, the inside of a frame, or a box of its own),
    and toned; the box is then pasted on a canvas of the fill colour.

    Attributes:
        size: (height, width) in pixels.
        fit: "resize" fills the canvas; "shrink" puts the image inside a free frame; "place" puts it in `box`.
        frame: Width in pixels of the frame that "shrink" leaves free; 0 otherwise.
        resample: A name of FILTERS.
        crop_pct: Share of the resized image that the centre crop keeps, in (0, 1].
        aspect: "crop" (shorter side fits, the center remains), "squash" (stretched) or "letterbox" (all remains).
        fill: RGB of the free frame, of letterbox bars and of the corners that a rotation frees, each 0..255.
        box: (top, left, height, width) in pixels with "place"; what lies outside the canvas is cut off.
        flip: Whether left and right change places, before the rotation.
        rotation: Degrees counter-clockwise, -180 to 180. Quarter turns are exact; what is left turns inside the box.
    """

    size: tuple[int, int]
    fit: str = "resize"
    frame: int = 0
    resample: str = "bicubic"
    crop_pct: float = 1.0
    aspect: str = "crop"
    fill: tuple[int, int, int] = (0, 0, 0)
    box: tuple[int, int, int, int] | None = None
    flip: bool = False
    rotation: float = 0.0
    tone: Tone = field(default_factory=Tone)

    @classmethod
    def for_model(cls, spec: ModelSpec, *, crop_pct: float | None = None, aspect: str | None = None) -> Canvas:
        """Returns the canvas of a model's own evaluation setting, but for what is said otherwise."""
        crop_pct = spec.crop_pct if crop_pct is None else crop_pct
        return cls(spec.image_size, resample=spec.resample, crop_pct=crop_pct, aspect=aspect or spec.aspect)

    def __post_init__(self) -> None:
        for value, choices, what in (
            (self.fit, (*FITS, _PLACED), "fit"),
            (self.resample, tuple(FILTERS), "resize filter"),
            (self.aspect, ASPECTS, "aspect"),
        ):
            if value not in choices:
                raise ConfigError(f"unknown {what} {value!r}.{suggest(value, choices)} Known: {', '.join(choices)}.")
        if min(self.size) < 1:
            raise ConfigError(f"a canvas needs at least 1x1 pixels, got {self.size[0]}x{self.size[1]}.")
        if len(self.fill) != 3 or not all(0 <= value <= 255 for value in self.fill):
            raise ConfigError(f"a fill colour is red, green and blue in 0..255 each, got {self.fill}.")
        if not 0 < self.crop_pct <= 1:
            raise ConfigError(f"crop_pct must lie in (0, 1], got {self.crop_pct}.")
        if not -180 <= self.rotation <= 180:
            raise ConfigError(f"a rotation must lie in -180 to 180 degrees, got {self.rotation}.")
        self._check_frame()
        self._check_box()
        height, width = max(self.size[0], self.image_box[2]), max(self.size[1], self.image_box[3])
        if height * width > MAX_CANVAS_PIXELS * self.crop_pct**2:
            raise ConfigError(
                f"a canvas of {height}x{width} pixels with crop_pct {self.crop_pct:g} asks for more than "
                f"{MAX_CANVAS_PIXELS} pixels; the sides divided by crop_pct must stay below."
            )

    def _check_frame(self) -> None:
        if (self.fit == "shrink") != (self.frame != 0):
            raise ConfigError(f"fit={self.fit!r} does not go with a frame of {self.frame} pixels.")
        if not 0 <= 2 * self.frame < min(self.size):
            raise ConfigError(
                f"a frame of {self.frame} pixels leaves no inside on a {self.size[0]}x{self.size[1]} canvas; "
                f"the largest is {(min(self.size) - 1) // 2}."
            )

    def _check_box(self) -> None:
        if (self.fit == _PLACED) != (self.box is not None):
            raise ConfigError(f"fit={self.fit!r} does not go with box={self.box}.")
        if self.box is None:
            return
        (tall, wide), (top, left, height, width) = self.size, self.box
        if not (1 <= height <= _LARGEST_BOX * tall and 1 <= width <= _LARGEST_BOX * wide):
            raise ConfigError(
                f"a box for the image must have 1x1 to {_LARGEST_BOX * tall}x{_LARGEST_BOX * wide} pixels on a "
                f"{tall}x{wide} canvas, got {height}x{width}."
            )
        if top >= tall or left >= wide or top + height <= 0 or left + width <= 0:
            raise ConfigError(
                f"a box of {height}x{width} pixels at ({top}, {left}) leaves no image on a {tall}x{wide} canvas."
            )

    @property
    def is_basic(self) -> bool:
        """Whether files of the first schema, which know neither boxes, turns nor tones, can describe it."""
        return self.box is None and not self.flip and not self.rotation and self.tone.is_plain

    @property
    def image_box(self) -> tuple[int, int, int, int]:
        """Where the image lies: (top, left, height, width), in pixels; it may reach beyond the canvas."""
        return self.box or (
            self.frame,
            self.frame,
            self.size[0] - 2 * self.frame,
            self.size[1] - 2 * self.frame,
        )

    @property
    def quarter_turns(self) -> int:
        """Exact quarter turns counter-clockwise, 0 to 3, before the image is fitted into its box."""
        return round(self.rotation / 90) % 4

    @property
    def oblique_rotation(self) -> float:
        """Degrees counter-clockwise, -45 to 45, that are left to turn inside the box."""
        return self.rotation - 90 * round(self.rotation / 90)

    @property
    def rotation_filter(self) -> str:
        """Name of the filter nearest to `resample` that can rotate: "nearest", "bilinear" or "bicubic"."""
        if self.resample == "nearest":
            return "nearest"
        return "bicubic" if self.resample in ("bicubic", "lanczos") else "bilinear"

    def uncropped(self, height: int, width: int) -> tuple[int, int]:
        """Returns (height, width) of which the centre crop of a box of this size keeps `crop_pct`."""
        return int(height / self.crop_pct), int(width / self.crop_pct)

    def with_box(self, box: tuple[int, int, int, int]) -> Canvas:
        """Returns a canvas that has the image in a box, said in the simplest way: as "resize", "shrink" or "place"."""
        top, left, height, width = box
        if (top, left, height, width) == (0, 0, *self.size):
            return replace(self, fit="resize", frame=0, box=None)
        if top == left > 0 and (height, width) == (self.size[0] - 2 * top, self.size[1] - 2 * top):
            return replace(self, fit="shrink", frame=top, box=None)
        return replace(self, fit=_PLACED, frame=0, box=box)

    def make(self, image: Image.Image) -> Pixels:
        """Returns the canvas of an RGB image, (H, W, 3) uint8."""
        top, left, height, width = self.image_box
        inside = self._fit(_flip_and_turn(image, self.flip, self.quarter_turns), height, width)
        if self.oblique_rotation:
            inside = inside.rotate(self.oblique_rotation, FILTERS[self.rotation_filter], fillcolor=self.fill)
        if inside.size == (self.size[1], self.size[0]) and (top, left) == (0, 0):
            return np.array(inside)
        canvas = Image.new("RGB", (self.size[1], self.size[0]), self.fill)
        canvas.paste(inside, (left, top))
        return np.array(canvas)

    def _fit(self, image: Image.Image, height: int, width: int) -> Image.Image:
        resample = FILTERS[self.resample]
        # The rounding of torchvision's and timm's Resize and CenterCrop, so that canvases equal theirs to the byte.
        target_height, target_width = self.uncropped(height, width)
        if self.aspect == "squash":
            return self.tone.apply(_center_crop(_resized(image, target_width, target_height, resample), height, width))
        if self.aspect == "letterbox":
            scale = min(height / image.height, width / image.width)
            tall, wide = max(1, round(image.height * scale)), max(1, round(image.width * scale))
            boxed = Image.new("RGB", (width, height), self.fill)
            inside = self.tone.apply(_resized(image, wide, tall, resample))
            boxed.paste(inside, ((width - wide) // 2, (height - tall) // 2))
            return boxed
        image = _cut_panorama(image, height / width)
        if image.width * target_height <= image.height * target_width:
            wide, tall = target_width, int(target_width * image.height / image.width)
        else:
            wide, tall = int(target_height * image.width / image.height), target_height
        return self.tone.apply(_center_crop(_resized(image, wide, tall, resample), height, width))

    def to_json(self) -> dict[str, Any]:
        """Returns the `canvas` object of a prompt file; boxes, turns and tones only where there are any."""
        values = asdict(self)
        values["filter"] = values.pop("resample")
        plain = Canvas(self.size)
        for name in ("box", "flip", "rotation", "tone"):
            if getattr(self, name) == getattr(plain, name):
                del values[name]
        if "tone" in values:
            values["tone"] = self.tone.to_json()
        return {**values, "orientation": "exif"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Canvas:
        """Reads what `to_json` wrote.

        Raises:
            PromptError: A field is missing, unknown or out of range.
        """
        try:
            fields = dict(values)
            if fields.pop("orientation") != "exif":
                raise PromptError(f"orientation must be 'exif', got {values['orientation']!r}.")
            fields["resample"] = fields.pop("filter")
            fields["size"], fields["fill"] = tuple(fields["size"]), tuple(fields["fill"])
            if [type(value) for value in (*fields["size"], *fields["fill"], fields["frame"])] != 6 * [int]:
                raise PromptError("size, fill and frame must be 2, 3 and 1 whole numbers.")
            if "box" in fields:
                fields["box"] = tuple(fields["box"])
                if [type(value) for value in fields["box"]] != 4 * [int]:
                    raise PromptError("a box must be 4 whole numbers.")
            if type(fields.get("flip", False)) is not bool:
                raise PromptError(f"flip must be true or false, got {fields['flip']!r}.")
            if "tone" in fields:
                fields["tone"] = Tone.from_json(fields["tone"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise PromptError(f"the prompt file describes no usable canvas: {error}") from error


def _flip_and_turn(image: Image.Image, flip: bool, quarters: int) -> Image.Image:
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = _QUARTER[quarters]
    return image if turn is None else image.transpose(turn)


def _resized(image: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    """Resizes as Pillow 13 does: an image that loses most of its height loses that first.

    Older versions always begin with the width, and clip other values between the two.
    """
    if image.height - height > max(0, 2 * (image.width - width)):
        image = image.resize((image.width, height), resample)
    return image if (width, height) == image.size else image.resize((width, height), resample)


def _center_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def _cut_panorama(image: Image.Image, aspect: float) -> Image.Image:
    """Cuts a panorama before the resize, which would otherwise build a giant image to throw most of it away."""
    limit_tall = round(image.width * aspect * MOST_ASPECT)
    limit_wide = round(image.height / aspect * MOST_ASPECT)
    height, width = min(image.height, max(1, limit_tall)), min(image.width, max(1, limit_wide))
    return image if (width, height) == image.size else _center_crop(image, height, width)
