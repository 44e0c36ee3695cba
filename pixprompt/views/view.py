"""A view: an input-agnostic change of images in a few numbers, which becomes a prompt file of its own.

    view = View(size=0.73, frame=Pattern((0, 0, 0)))    # the image on 73% of the canvas, in a black frame
    prompt = view.prompt(canvas)                        # a `Prompt`: canvas.make, overlay, apply, save

The geometry and the tone go into the canvas of the prompt, the frame and the patch into its pixels. A frame or patch is
opaque: compositing the file over the canvas with any image tool gives what `apply` gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..canvas import FILTERS, Canvas, Pixels, Tone
from ..core import ConfigError
from ..prompt import Prompt
from ..registry import suggest
from .pattern import Pattern

__all__ = ["Patch", "View", "is_plain", "view_name"]

_SIZE = (1 / 16, 4.0)
_ZOOM = (1.0, 8.0)
_PATCH = (1 / 64, 1.0)


def _check_range(what: str, value: object, limits: tuple[float, float]) -> None:
    if type(value) not in (int, float) or not limits[0] <= value <= limits[1]:  # type: ignore[operator]
        raise ConfigError(f"{what} must lie in {limits[0]:g} to {limits[1]:g}, got {value!r}.")


@dataclass(frozen=True)
class Patch:
    """A patch on top of the image.

    Attributes:
        size: Side, as a share of the canvas's sides.
        x: Place from left (0) to right (1).
        y: Place from top (0) to bottom (1).
        pattern: Its pixels.
    """

    size: float
    x: float = 1.0
    y: float = 1.0
    pattern: Pattern = field(default_factory=Pattern)

    def __post_init__(self) -> None:
        _check_range("the size of a patch, as a share of the canvas,", self.size, _PATCH)
        for name, value in (("x", self.x), ("y", self.y)):
            _check_range(f"the {name} of a patch", value, (0.0, 1.0))


@dataclass(frozen=True)
class View:
    """How images are shown to a model; by default as the model's own evaluation setting shows them.

    Attributes:
        size: Of the image, as a share of the canvas's sides: below 1 it leaves a frame free, above 1 a part is shown.
        x: Where the image lies in the free room, or the shown part in the image: left (0) to right (1).
        y: From top (0) to bottom (1).
        zoom: How much the image is enlarged inside its own place, 1 to 8; the centre is kept. None is the model's own
            crop where the image fills the canvas, and no zoom where it does not.
        flip: Whether left and right change places, before the rotation.
        rotation: Degrees counter-clockwise, -180 to 180.
        resample: A resize filter (a name of `canvas.FILTERS`); None is the model's own.
        frame: What fills the canvas around the image; None leaves it black.
        patch: What covers a part of the image.
    """

    size: float = 1.0
    x: float = 0.5
    y: float = 0.5
    zoom: float | None = None
    flip: bool = False
    rotation: float = 0.0
    resample: str | None = None
    tone: Tone = field(default_factory=Tone)
    frame: Pattern | None = None
    patch: Patch | None = None

    def __post_init__(self) -> None:
        _check_range("the size of a view", self.size, _SIZE)
        for name, value in (("x", self.x), ("y", self.y)):
            _check_range(f"the {name} of a view", value, (0.0, 1.0))
        if self.zoom is not None:
            _check_range("the zoom of a view", self.zoom, _ZOOM)
        _check_range("the rotation of a view, in degrees,", self.rotation, (-180.0, 180.0))
        if type(self.flip) is not bool:
            raise ConfigError(f"flip must be true or false, got {self.flip!r}.")
        if self.resample is not None and self.resample not in FILTERS:
            raise ConfigError(
                f"unknown resize filter {self.resample!r}.{suggest(self.resample, tuple(FILTERS))} "
                f"Known: {', '.join(FILTERS)}."
            )

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return self == View()

    @property
    def turns(self) -> bool:
        """Whether it flips or rotates the image, which changes the label of some images: digits, text, arrows."""
        return self.flip or self.rotation != 0

    @property
    def num_params(self) -> int:
        """How many numbers and choices differ from the plain view."""
        return _count(self.to_json())

    @property
    def name(self) -> str:
        """A short description in words."""
        return ", ".join(_words(self)) or "plain"

    def canvas(self, base: Canvas) -> Canvas:
        """Returns the canvas of the view.

        Args:
            base: The model's own setting, which fills the canvas.

        Raises:
            ConfigError: No pixel of the image is left on a canvas of this size.
        """
        tall, wide = base.size
        height, width = round(self.size * tall), round(self.size * wide)
        if min(height, width) < 1:
            raise ConfigError(f"a view of size {self.size:g} leaves no image on a {tall}x{wide} canvas.")
        canvas = base.with_box((round(self.y * (tall - height)), round(self.x * (wide - width)), height, width))
        crop = 1 / self.zoom if self.zoom is not None else base.crop_pct if self.size == 1 else 1.0
        canvas = replace(
            canvas,
            crop_pct=crop,
            flip=self.flip,
            rotation=self.rotation,
            resample=self.resample or base.resample,
            tone=self.tone,
        )
        # Letterbox bars and the corners of a turned image continue the frame; elsewhere the fill is never seen.
        fill_shows = base.aspect == "letterbox" or self.rotation % 90 != 0
        return replace(canvas, fill=self.frame.color) if self.frame and fill_shows else canvas

    def pixels(self, base: Canvas) -> Pixels:
        """Returns the frame and the patch as an overlay, (H, W, 4) uint8, opaque or empty.

        Raises:
            ConfigError: They leave no pixel of the image.
        """
        tall, wide = base.size
        rgba = np.zeros((tall, wide, 4), np.uint8)
        top, left, height, width = self.canvas(base).image_box
        image = (slice(max(0, top), top + height), slice(max(0, left), left + width))
        if self.frame is not None:
            rgba[..., :3], rgba[..., 3] = self.frame.pixels(tall, wide), 255
            rgba[image] = 0
        if self.patch is not None:
            rows, columns = max(1, round(self.patch.size * tall)), max(1, round(self.patch.size * wide))
            y, x = round(self.patch.y * (tall - rows)), round(self.patch.x * (wide - columns))
            rgba[y : y + rows, x : x + columns, :3] = self.patch.pattern.pixels(rows, columns)
            rgba[y : y + rows, x : x + columns, 3] = 255
            if bool((rgba[image][..., 3] == 255).all()):
                raise ConfigError(f"the view ({self.name}) leaves no image: its patch covers all of it.")
        return rgba

    def prompt(self, base: Canvas, **origin: Any) -> Prompt:
        """Returns the view as a prompt on the canvases of a model.

        Args:
            base: The model's own setting, which fills the canvas.
            origin: Further fields of the prompt: model, output, seed, metrics and so on.
        """
        return Prompt(
            rgba=self.pixels(base),
            canvas=self.canvas(base),
            blend="over",
            delta_scale=None,
            template={"name": "view", "params": self.to_json(), "num_params": self.num_params},
            **origin,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns what differs from the plain view."""
        values: dict[str, Any] = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != getattr(_PLAIN, each.name)
        }
        if "tone" in values:
            values["tone"] = self.tone.to_json()
        if self.frame is not None:
            values["frame"] = self.frame.to_json()
        if self.patch is not None:
            patch = {name: getattr(self.patch, name) for name in ("size", "x", "y")}
            values["patch"] = {**patch, "pattern": self.patch.pattern.to_json()}
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> View:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: A field is unknown or out of range.
        """
        try:
            known = dict(values)
            if "tone" in known:
                known["tone"] = Tone.from_json(known["tone"])
            if "frame" in known:
                known["frame"] = Pattern.from_json(known["frame"])
            if "patch" in known:
                patch = dict(known["patch"])
                known["patch"] = Patch(**{**patch, "pattern": Pattern.from_json(patch["pattern"])})
            return cls(**known)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ConfigError(f"a view cannot be read from {values!r}: {error}.") from error


_PLAIN = View()


def is_plain(prompt: Prompt) -> bool:
    """Whether a prompt shows images as the model's own setting does."""
    name = prompt.template.get("name")
    return name == "none" or (name == "view" and not prompt.template.get("params"))


def view_name(prompt: Prompt) -> str:
    """Returns a short description of a prompt in words, whether it is a view or holds learned pixels."""
    if is_plain(prompt):
        return _PLAIN.name
    if prompt.template.get("name") != "view":
        return f"{prompt.template.get('name', 'prompt')} with learned pixels"
    try:
        return View.from_json(prompt.template["params"]).name
    except (ConfigError, KeyError):
        return "view"


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


def _words(view: View) -> list[str]:
    words = []
    if view.size != 1:
        words.append(f"size {view.size:.2f}")
    if view.size != 1 and (view.x, view.y) != (0.5, 0.5):
        words.append(f"at {view.x:.2f}, {view.y:.2f}")
    if view.zoom is not None:
        words.append(f"zoom {view.zoom:.2f}")
    words += ["flipped"] if view.flip else []
    words += [f"rotated {view.rotation:g}°"] if view.rotation else []
    words += [view.resample] if view.resample else []
    words += [f"gamma {view.tone.gamma:.2f}"] if view.tone.gamma != 1 else []
    words += [f"contrast {view.tone.contrast:.2f}"] if view.tone.contrast != 1 else []
    words += ["inverted"] if view.tone.invert else []
    words += [f"{_pattern_words(view.frame)} frame"] if view.frame else []
    words += [f"{_pattern_words(view.patch.pattern)} patch {view.patch.size:.2f}"] if view.patch else []
    return words


def _pattern_words(pattern: Pattern) -> str:
    red, green, blue = pattern.color
    known = {(0, 0, 0): "black", (255, 255, 255): "white"}
    color = known.get(pattern.color, f"grey {red}" if red == green == blue else f"#{red:02x}{green:02x}{blue:02x}")
    return color if pattern.kind == "plain" else f"{color} {pattern.kind}"
