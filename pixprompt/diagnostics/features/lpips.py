"""LPIPS v0.1 on AlexNet, and the perceptual diversity of a data set: its mean over random pairs of images.

The distance of two images is a weighted sum of squares between channel-normalised activations. With the weights'
square roots multiplied in, it is the squared Euclidean distance of two embeddings: an image is embedded once,
however many pairs it belongs to.

Reference: arXiv:1801.03924; version 0.1 of its published linear layers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...canvas import Canvas
from ...core import DataError, ModelError, RangeError, ShapeError
from ...data import ImageSet, make_canvases
from ...models import load_model, local_net
from ...models.weights import load_weights, read_weights
from ..bootstrap import centered_interval, resamples
from .extract import weights_sha256

__all__ = ["LPIPS", "diversity", "draw_pairs", "load_lpips"]

_CHANNELS = (64, 192, 384, 256, 256)
# Of images in [-1, 1]: constants of the published scaling layer.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
_SMALLEST = 63
"""Below this side the last layers of AlexNet have too little to see; the paper trained on patches of 64."""
_FEWEST = 4
"""With fewer images, resamples have hardly a pair left and the interval shrinks to nothing."""
_BATCH = 64
_MEMORY = 2**29
"""Bytes of embeddings that are kept; images beyond are embedded once per pair."""
_VARIABLE = "PIXPROMPT_LPIPS"
_REMEDY = (
    "Give a file with AlexNet's `features.*` and the layers `lin0..lin4` with --lpips FILE or the environment variable "
    "PIXPROMPT_LPIPS; or install the package `lpips` (its linear layers are used) where torchvision can download "
    "AlexNet."
)


class LPIPS(nn.Module):
    """The distance as a function of two batches of images."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip
        for number, channels in enumerate(_CHANNELS):
            self.add_module(f"lin{number}", nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Returns the distances of image to image, (N,).

        Args:
            first: (N, 3, H, W), values in [0, 1], H and W at least 63.
            second: The same shape.

        Raises:
            RangeError: Values lie outside [0, 1].
            ShapeError: The shapes differ, or are no images of that size.
        """
        if first.shape != second.shape:
            raise ShapeError(f"expected two batches of one shape, got {tuple(first.shape)} and {tuple(second.shape)}.")
        return (self.embed(first) - self.embed(second)).square().sum(1)

    def embed(self, images: Tensor) -> Tensor:
        """Returns what the squared Euclidean distance gives LPIPS of, (N, E); images as in `forward`."""
        _check_images(images)
        shift, scale = (images.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        parts, layers = [], []
        activations = ((2 * images - 1) - shift) / scale
        for layer in self.features:
            activations = layer(activations)
            if isinstance(layer, nn.ReLU):
                layers.append(activations)
        for number, activation in enumerate(layers):
            weight: Any = self.get_submodule(f"lin{number}").weight
            norm = activation.square().sum(1, keepdim=True).sqrt() + _EPSILON
            per_place = math.sqrt(activation.shape[2] * activation.shape[3])
            parts.append((activation / norm * weight.sqrt() / per_place).flatten(1))
        return torch.cat(parts, 1)


def load_lpips(file: str | Path | None = None, *, device: str = "cpu") -> LPIPS:
    """Builds the distance with its published weights.

    Args:
        file: With `features.*` and `lin0..lin4`; None looks at $PIXPROMPT_LPIPS, and then for torchvision's AlexNet
            and the linear layers of the package lpips, whose code is not run.

    Raises:
        ModelError: The weights cannot be had or do not fit; the message says how to get them.
    """
    path = file or os.environ.get(_VARIABLE)
    if path and not Path(path).expanduser().is_file():
        raise ModelError(f"no LPIPS weights at {path}: no such file. {_REMEDY}")
    tensors = _renamed(read_weights(Path(path).expanduser())) if path else _from_packages()
    net = LPIPS()
    load_weights(net, tensors, str(path or "of torchvision and lpips"))
    if any(float(tensors[f"lin{number}.weight"].min()) < 0 for number in range(len(_CHANNELS))):
        raise ModelError(f"the linear layers of {path} hold negative weights, which LPIPS never has. {_REMEDY}")
    return net.eval().requires_grad_(False).to(device)


def draw_pairs(num_images: int, num_pairs: int, *, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draws distinct unordered pairs of different images, all if there are no more.

    Returns:
        (P, 2) with the smaller index first.

    Raises:
        DataError: There are fewer than two images.
    """
    if num_images < 2:
        raise DataError(f"a pair needs 2 images, got {num_images}.")
    total = num_images * (num_images - 1) // 2
    numbers = np.sort(generator.choice(total, min(num_pairs, total), replace=False)).astype(np.int64)
    # Pair number t of the triangle (0,1), (0,2), (1,2), (0,3), ...: the larger index j has j (j - 1) / 2 before it.
    larger = ((1 + np.sqrt(1 + 8 * numbers.astype(np.float64))) / 2).astype(np.int64)
    return np.stack([numbers - larger * (larger - 1) // 2, larger], 1)


def diversity(
    images: ImageSet,
    net: LPIPS,
    *,
    generator: np.random.Generator,
    pairs: int = 10_000,
    size: int = 64,
    bootstrap: int = 1000,
    cache: Path | None = None,
    workers: int = 0,
    on_image: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Measures the mean LPIPS of random pairs.

    The interval resamples images, not pairs: pairs share images, so that resampling pairs as if they were independent
    would promise too much. A pair counts as often as the product of its images' counts (arXiv:0712.1111), which is
    slightly too wide rather than too narrow.

    Args:
        net: The distance.
        generator: Draws the pairs and the interval.
        size: Of the square canvas in pixels, 64..256.
        bootstrap: Resamples of the interval.
        cache: Folder of the canvas files; None means the user's.
        workers: Threads that decode.
        on_image: Called for each image that is decoded.

    Returns:
        {"mean", "ci95", "pairs", "images", "n", "canvas", ...}.

    Raises:
        DataError: The pairs have fewer than four readable images.
    """
    index_pairs = draw_pairs(len(images), pairs, generator=generator)
    used = np.unique(index_pairs)
    canvas = Canvas((size, size))
    sample = images.subset(used)
    canvases = make_canvases(sample, canvas, workers=workers, cache=cache, on_image=on_image)
    unreadable = {name for name, _ in canvases.skipped}
    readable = np.array([index for index, name in zip(used, sample.names, strict=True) if name not in unreadable])
    index_pairs = index_pairs[np.isin(index_pairs, readable).all(1)]
    if not len(index_pairs):
        raise DataError(f"none of the {pairs} pairs has two readable images.")
    if len(np.unique(index_pairs)) < _FEWEST:
        raise DataError(
            f"an interval of the diversity needs pairs of at least {_FEWEST} images, got {len(np.unique(index_pairs))}."
        )
    places = np.searchsorted(readable, index_pairs)
    distances = _distances(canvases.pixels, places, net, len(readable))
    draws = resampled_means(distances, places, len(readable), bootstrap, generator)
    return {
        "mean": float(distances.mean()),
        "ci95": centered_interval(draws, float(distances.mean())),
        "pairs": len(index_pairs),
        "images": len(readable),
        "n": len(images),
        "canvas": f"{size}x{size}, {canvas.resample} with antialiasing, {canvas.aspect}",
        "interval": f"bootstrap of images, B={bootstrap}",
        "extractor": "lpips-0.1-alex",
        "weights_sha256": weights_sha256(net),
        "dtype": "float32",
    }


def resampled_means(
    distances: npt.NDArray[np.float64],
    places: npt.NDArray[np.int64],
    num: int,
    repeats: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Means of the pairs for resamples of the images; a draw in which no pair is left is passed over."""
    means = []
    for _ in range(repeats):
        row = resamples(num, 1, generator=generator)[0]
        counts = row[places[:, 0]] * row[places[:, 1]]
        if counts.sum():
            means.append(counts @ distances / counts.sum())
    return np.array(means or [distances.mean()])


@torch.no_grad()
def _distances(pixels: Any, places: npt.NDArray[np.int64], net: LPIPS, num: int) -> npt.NDArray[np.float64]:
    def embed(indices: npt.NDArray[np.int64]) -> Tensor:
        images = torch.from_numpy(np.array(pixels[indices])).permute(0, 3, 1, 2).float() / 255
        return net.embed(images.to(next(net.parameters()))).float().cpu()

    length = embed(places[0, :1]).shape[1]
    embeddings = torch.empty(min(num, _MEMORY // (4 * length)), length)
    for start in range(0, len(embeddings), _BATCH):
        embeddings[start : start + _BATCH] = embed(np.arange(start, min(start + _BATCH, len(embeddings))))
    distances = []
    for start in range(0, len(places), _BATCH):
        sides = []
        for side in places[start : start + _BATCH].T:
            rows = torch.empty(len(side), length)
            embedded = side < len(embeddings)
            rows[torch.from_numpy(embedded)] = embeddings[torch.from_numpy(side[embedded])]
            if not embedded.all():
                rows[torch.from_numpy(~embedded)] = embed(side[~embedded])
            sides.append(rows)
        distances.append((sides[0] - sides[1]).square().sum(1).double().numpy())
    return np.concatenate(distances)


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < _SMALLEST:
        raise ShapeError(
            f"expected images (N, 3, H, W) of at least {_SMALLEST}x{_SMALLEST}, got {tuple(images.shape)}. "
            "Enlarge small images first, and say so beside the number."
        )
    low, high = (float(value) for value in images.aminmax())
    if not images.is_floating_point() or not (low >= 0 and high <= 1):
        raise RangeError(
            f"expected float images with values in [0, 1], got {images.dtype} with min {low:.4g}, max {high:.4g}. "
            "LPIPS scales to [-1, 1] itself."
        )


def _from_packages() -> dict[str, Tensor]:
    spec = find_spec("lpips")
    heads = [
        path
        for folder in (spec.submodule_search_locations or () if spec else ())
        if (path := Path(folder, "weights/v0.1/alex.pth")).is_file()
    ]
    if not heads:
        raise ModelError(f"LPIPS needs weights; no file was named, and none is installed. {_REMEDY}")
    try:
        alexnet = local_net(load_model("torchvision:alexnet/IMAGENET1K_V1"), "LPIPS")
    except ModelError as error:
        raise ModelError(f"LPIPS needs AlexNet's weights: {error} {_REMEDY}") from error
    trunk = alexnet.net.state_dict()
    return _renamed({**{name: value for name, value in trunk.items() if name.startswith("features.")},
                     **read_weights(heads[0])})  # fmt: skip


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Takes what is needed by our names: `lin0.model.1.weight` of the published layers becomes `lin0.weight`."""
    short = {name.replace(".model.1.", "."): value for name, value in tensors.items()}
    return {name: value for name, value in short.items() if not name.startswith("classifier.")}
