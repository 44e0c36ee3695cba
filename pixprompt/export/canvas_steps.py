"""What is done to an image before a prompt is laid on it, as a list of steps in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..canvas import MOST_ASPECT, Canvas

__all__ = ["canvas_steps"]


def canvas_steps(canvas: Canvas) -> list[dict[str, Any]]:
    """Returns the steps from an upright RGB image to the canvas, those that do nothing left out.

    FORMAT.md, in the folder `prompt` of this package, says exactly what each step computes.
    """
    return list(_steps(canvas))


def _steps(canvas: Canvas) -> Iterator[dict[str, Any]]:
    if canvas.flip:
        yield {"step": "flip"}
    if canvas.quarter_turns:
        yield {"step": "turn", "quarters": canvas.quarter_turns}
    top, left, height, width = canvas.image_box
    yield from _fitting(canvas, height, width)
    if canvas.oblique_rotation:
        angle = canvas.oblique_rotation
        yield {"step": "rotate", "degrees": angle, "filter": canvas.rotation_filter, "fill": canvas.fill}
    if canvas.image_box != (0, 0, *canvas.size):
        yield {"step": "paste", "top": top, "left": left, "size": canvas.size, "fill": canvas.fill}


def _fitting(canvas: Canvas, height: int, width: int) -> Iterator[dict[str, Any]]:
    tall, wide = canvas.uncropped(height, width)
    tone = [] if canvas.tone.is_plain else [{"step": "tone", "table": canvas.tone.table}]
    if canvas.aspect == "letterbox":
        yield {"step": "resize", "to": "fit", "size": [height, width], "filter": canvas.resample}
        yield from tone
        yield {"step": "pad", "size": [height, width], "fill": canvas.fill}
        return
    if canvas.aspect == "crop":
        yield {"step": "limit aspect", "size": [height, width], "times": MOST_ASPECT}
    mode = "cover" if canvas.aspect == "crop" else "stretch"
    yield {"step": "resize", "to": mode, "size": [tall, wide], "filter": canvas.resample}
    yield {"step": "crop", "size": [height, width]}
    yield from tone
