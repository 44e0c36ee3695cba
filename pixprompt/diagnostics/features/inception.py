"""The Inception-2015 network of the Frechet Inception distance, and the two kinds of files that hold its weights.

It differs from torchvision's `inception_v3`: averages leave the padding out, and the last block pools by maximum.
Images are resized inside, bilinearly as TensorFlow 1 did: corners aligned at the origin, no antialiasing.

Reference: arXiv:1512.00567 (the network), arXiv:1706.08500 (the distance).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import ModelError
from ...models.weights import load_weights, read_weights
from .inception_file import REMEDY, find_inception

__all__ = ["DIM", "SIZE", "Inception", "load_inception", "resize_tf1"]

SIZE = 299
DIM = 2048
_PROBE = (0.263734, 21.2618)
"""Mean and norm of the features of `_probe()`: what tells these weights from others of the same shapes."""

# Chains of convolutions: (channels, kernel, stride); a kernel k means k x k.
_Kernel = int | tuple[int, int]
_Chain = Sequence[tuple[int, _Kernel, int]]


def load_inception(file: str | Path | None = None) -> Inception:
    """Builds the network with the weights of a file.

    Args:
        file: TorchScript of the network, or a file of tensors by the names of pytorch-fid and torch-fidelity; None
            asks `find_inception`.

    Raises:
        ModelError: There is no such file, or it holds something else than these weights.
    """
    path = find_inception(file)
    net = Inception()
    tensors = _from_script(path, net) if _is_script(path) else _from_names(path)
    load_weights(net, tensors, str(path))
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    with torch.no_grad():
        features = net(_probe())
    measured = (float(features.mean()), float(features.norm()))
    if not np.allclose(measured, _PROBE, rtol=1e-3):
        raise ModelError(
            f"{path} has the shapes of Inception-2015 and other weights: a test picture gives features of mean and "
            f"norm {measured[0]:.5g}, {measured[1]:.5g} instead of {_PROBE[0]:.5g}, {_PROBE[1]:.5g}. {REMEDY}"
        )
    return net


def resize_tf1(canvas: npt.NDArray[np.uint8] | npt.NDArray[np.float32], size: int = SIZE) -> npt.NDArray[np.float32]:
    """Resizes as `tf.image.resize_bilinear` of TensorFlow 1 did: pixel i is read at i * old / new, nothing is averaged.

    Args:
        canvas: (H, W, 3).
        size: Of each side of the result.

    Returns:
        (size, size, 3) float32, in the units of the canvas.
    """
    (top, bottom, down), (left, right, across) = (_places(length, size) for length in canvas.shape[:2])
    # Rows and columns are picked before they become floats: a photo of any size costs no more than its result.
    upper, lower = canvas[top], canvas[bottom]
    first, second = (
        rows[:, left] + (rows[:, right].astype(np.float32) - rows[:, left]) * across[None, :, None]
        for rows in (upper, lower)
    )
    return (first + (second - first) * down[:, None, None]).astype(np.float32)


def _places(length: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    at = np.arange(size, dtype=np.float32) * np.float32(length / size)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, length - 1), at - low.astype(np.float32)


class _Conv(nn.Module):
    def __init__(self, width: int, channels: int, kernel: _Kernel, stride: int, *, valid: bool) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(width, channels, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, images: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(images)))


class _Block(nn.Module):
    """Branches side by side: chains of convolutions, some with a fork of two at the end, and a pooled one.

    Args:
        width: Channels that come in.
        branches: Name -> its convolutions.
        forks: Channels of a last 1x3 beside a last 3x1, by branch.
        pool: Channels after an average ("avg") or maximum ("max") of the neighbourhood, or None: halved by maximum.
    """

    def __init__(
        self,
        width: int,
        branches: Mapping[str, _Chain],
        *,
        forks: Mapping[str, int] | None = None,
        pool: tuple[str, int] | None = None,
    ) -> None:
        super().__init__()
        self._chains: list[tuple[list[str], list[str]]] = []
        for name, chain in branches.items():
            fork = (forks or {}).get(name)
            is_single = len(chain) == 1 and fork is None
            names, last = [], width
            for number, (channels, kernel, stride) in enumerate(chain, 1):
                names.append(name if is_single else f"{name}_{number}")
                self.add_module(names[-1], _Conv(last, channels, kernel, stride, valid=stride > 1))
                last = channels
            ends = [f"{name}_{len(chain) + 1}{side}" for side in "ab"] if fork else []
            for end, kernel in zip(ends, ((1, 3), (3, 1)), strict=False):
                self.add_module(end, _Conv(last, fork or 0, kernel, 1, valid=False))
            self._chains.append((names, ends))
        self._pool = pool
        if pool:
            self.branch_pool = _Conv(width, pool[1], 1, 1, valid=False)

    def forward(self, images: Tensor) -> Tensor:
        outputs = []
        for names, ends in self._chains:
            maps = images
            for name in names:
                maps = self.get_submodule(name)(maps)
            outputs += [self.get_submodule(end)(maps) for end in ends] or [maps]
        if self._pool is None:
            outputs.append(F.max_pool2d(images, 3, 2))
        elif self._pool[0] == "avg":
            outputs.append(self.branch_pool(F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)))
        else:
            outputs.append(self.branch_pool(F.max_pool2d(images, 3, 1, 1)))
        return torch.cat(outputs, 1)


def _block_a(width: int, pooled: int) -> _Block:
    branches = {"branch1x1": [(64, 1, 1)], "branch5x5": [(48, 1, 1), (64, 5, 1)],
                "branch3x3dbl": [(64, 1, 1), (96, 3, 1), (96, 3, 1)]}  # fmt: skip
    return _Block(width, branches, pool=("avg", pooled))


def _block_c(inner: int) -> _Block:
    wide, tall = (1, 7), (7, 1)
    branches: dict[str, _Chain] = {
        "branch1x1": [(192, 1, 1)],
        "branch7x7": [(inner, 1, 1), (inner, wide, 1), (192, tall, 1)],
        "branch7x7dbl": [(inner, 1, 1), (inner, tall, 1), (inner, wide, 1), (inner, tall, 1), (192, wide, 1)],
    }
    return _Block(768, branches, pool=("avg", 192))


def _block_e(width: int, pool: str) -> _Block:
    branches = {"branch1x1": [(320, 1, 1)], "branch3x3": [(384, 1, 1)], "branch3x3dbl": [(448, 1, 1), (384, 3, 1)]}
    return _Block(width, branches, forks={"branch3x3": 384, "branch3x3dbl": 384}, pool=(pool, 192))


class Inception(nn.Module):
    """Images (N, 3, 299, 299) in [-1, 127/128] -> the 2048 averages of the last layer; no classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, valid=True)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, 1, valid=True)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, 1, valid=False)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1, 1, valid=True)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, 1, valid=True)
        doubled: _Chain = [(64, 1, 1), (96, 3, 1), (96, 3, 2)]
        last: _Chain = [(192, 1, 1), (192, (1, 7), 1), (192, (7, 1), 1), (192, 3, 2)]
        blocks = {
            "5b": _block_a(192, 32), "5c": _block_a(256, 64), "5d": _block_a(288, 64),
            "6a": _Block(288, {"branch3x3": [(384, 3, 2)], "branch3x3dbl": doubled}),
            "6b": _block_c(128), "6c": _block_c(160), "6d": _block_c(160), "6e": _block_c(192),
            "7a": _Block(768, {"branch3x3": [(192, 1, 1), (320, 3, 2)], "branch7x7x3": last}),
            "7b": _block_e(1280, "avg"), "7c": _block_e(2048, "max"),
        }  # fmt: skip
        self._blocks = [f"Mixed_{name}" for name in blocks]
        for name, block in blocks.items():
            self.add_module(f"Mixed_{name}", block)

    def forward(self, images: Tensor) -> Tensor:
        """Returns features (N, 2048)."""
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))
        maps = F.max_pool2d(maps, 3, 2)
        for name in self._blocks:
            maps = self.get_submodule(name)(maps)
        features: Tensor = maps.mean((2, 3))
        return features


def _is_script(path: Path) -> bool:
    """Whether it is an archive of TorchScript: those hold code beside the tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _from_script(path: Path, net: Inception) -> dict[str, Tensor]:
    """Takes the numbers out of TorchScript without loading it, which would run code of the file.

    The archive holds each tensor as raw float32: for one convolution after the other, in the order of ours, its
    weight, the offset, the mean and the variance of its batch norm.
    """
    tensors = {}
    convs = [(name, module) for name, module in net.named_modules() if isinstance(module, _Conv)]
    with zipfile.ZipFile(path) as archive:
        entries = {Path(entry.filename).name: entry for entry in archive.infolist() if "/data/" in entry.filename}
        if len(entries) != 4 * len(convs):
            raise ModelError(
                f"{path} holds {len(entries)} tensors, expected {4 * len(convs)} of Inception-2015. {REMEDY}"
            )
        for number, (name, module) in enumerate(convs):
            tensors[f"{name}.bn.weight"] = torch.ones_like(module.bn.bias)  # the network has offsets only
            parts = {"conv.weight": module.conv.weight, "bn.bias": module.bn.bias}
            parts |= {f"bn.running_{part}": module.bn.get_buffer(f"running_{part}") for part in ("mean", "var")}
            for place, (part, like) in enumerate(parts.items(), 4 * number):
                tensors[f"{name}.{part}"] = _raw(archive, entries.get(str(place)), like, path)
    return tensors


def _raw(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None, like: Tensor, path: Path) -> Tensor:
    """Reads one tensor of the shape of `like`; nothing is unpacked that has another size."""
    size = 4 * like.numel()
    try:
        if entry is not None and entry.file_size == size:
            return torch.from_numpy(np.frombuffer(archive.read(entry), "<f4").astype(np.float32)).view(like.shape)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ModelError(f"cannot read the TorchScript file {path}: {error}. {REMEDY}") from error
    came = "none" if entry is None else f"{entry.file_size} bytes"
    raise ModelError(f"{path} is not Inception-2015: expected a tensor of {size} bytes, got {came}. {REMEDY}")


def _from_names(path: Path) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in read_weights(path).items() if not name.startswith(("fc.", "AuxLogits."))}


def _probe() -> Tensor:
    """A test picture: smooth waves of three colours, the same on every machine."""
    ramp = torch.linspace(0, 6, SIZE)
    waves = [torch.sin((1 + color) * ramp[:, None] + color) * torch.cos((3 - color) * ramp) for color in range(3)]
    return torch.stack(waves)[None]
