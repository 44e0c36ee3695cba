"""Several processes that work on one run, as torchrun starts them: who takes which images, and what they add up.

Every process goes through the whole run; the first one alone writes into the run directory.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from ..core import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models import DirectQuerier

__all__ = ["Ranks", "current_ranks", "is_first_process", "join_processes", "shared_counts", "shared_folder"]

T = TypeVar("T")
_RESUMED = ("config.json", "result.json", "checkpoint")
"""What a run is continued from."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, batch: Tensor) -> Tensor:
        """Returns this process's part of a batch (n, ...); of two processes, one may have one row more, or the only."""
        from torch import tensor_split

        return tensor_split(batch, self.size)[self.rank]

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """Returns every `size`-th item, beginning with this process's number."""
        return items[self.rank :: self.size]

    def add(self, tensor: Tensor) -> Tensor:
        """Adds up a tensor over the processes, in place, and returns it."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Adds up gradients over the processes; a parameter that has none in any of them keeps none."""
        if self.size == 1:
            return
        import torch

        learned = [parameter for parameter in parameters if parameter.requires_grad]
        present = learned[0].new_tensor([parameter.grad is not None for parameter in learned])
        grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in learned]
        total = self.add(torch.cat([*(grad.flatten() for grad in grads), present]))
        *sums, present = torch.split(total, [*(grad.numel() for grad in grads), len(learned)])
        for parameter, values, count in zip(learned, sums, present.tolist(), strict=True):
            parameter.grad = values.view_as(parameter) if count else None

    def gather(self, rows: Sequence[Tensor], positions: Sequence[Tensor], total: int, device: str = "cpu") -> Tensor:
        """Returns the rows of all processes.

        Args:
            rows: Of this process, each (n, S); there may be none.
            positions: Where they belong, each (n,).
            total: How many rows there are in all.

        Returns:
            (total, S) float32, the same in every process.
        """
        import torch

        widths = torch.zeros(self.size, dtype=torch.int64, device=device)
        widths[self.rank] = rows[0].shape[1] if rows else 0
        whole = torch.zeros(total, int(self.add(widths).max()), device=device)
        for part, places in zip(rows, positions, strict=True):
            whole[places] = part
        return self.add(whole)


_CURRENT: ContextVar[Ranks] = ContextVar("ranks", default=Ranks())  # noqa: B039  # frozen


def current_ranks() -> Ranks:
    """Returns this process among those that `join_processes` has joined; alone outside of it."""
    return _CURRENT.get()


def is_first_process() -> bool:
    """Whether this is the process that writes and prints: number 0 of torchrun, or one that torchrun did not start."""
    return _num_processes() == 1 or os.environ["RANK"] == "0"


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


@contextmanager
def join_processes() -> Iterator[Ranks]:
    """Within, the processes that torchrun has started work on one run, each on a GPU of its own where there are some.

    Raises:
        ConfigError: There are more processes than GPUs.
    """
    if _num_processes() == 1 or current_ranks().size > 1:
        yield current_ranks()
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        beside, count = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if beside > count:
            raise ConfigError(
                f"torchrun has started {beside} processes for {count} GPUs; expected one for each. Start as many "
                "with --nproc-per-node, or set CUDA_VISIBLE_DEVICES to nothing to work on the CPU."
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    token = _CURRENT.set(Ranks(distributed.get_rank(), distributed.get_world_size()))
    try:
        yield current_ranks()
    finally:
        _CURRENT.reset(token)
        distributed.destroy_process_group()


@contextmanager
def shared_folder(path: str | Path, *, resume: bool) -> Iterator[Path]:
    """Gives the run directory to the first process, and a temporary copy of what it is resumed from to the others."""
    ranks = current_ranks()
    if ranks.rank == 0:
        if ranks.size > 1 and resume:
            _broadcast(_packed(Path(path)))
        yield Path(path)
        return
    with TemporaryDirectory(prefix="pixprompt-") as temporary:
        copy = Path(temporary, "run")
        if resume:
            with tarfile.open(fileobj=io.BytesIO(_broadcast(b""))) as archive:
                archive.extractall(copy, filter="data")
        yield copy


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in _RESUMED:
            if (folder / name).exists():
                archive.add(folder / name, name)
    return buffer.getvalue()


def _broadcast(content: bytes) -> bytes:
    """Sends what the first process has to the others."""
    import torch
    from torch import distributed

    size = torch.tensor([len(content)])
    distributed.broadcast(size, 0)
    values = torch.zeros(int(size), dtype=torch.uint8)
    if content:
        values.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    distributed.broadcast(values, 0)
    return values.numpy().tobytes()


@contextmanager
def shared_counts(counted: DirectQuerier | Any | None) -> Iterator[None]:
    """Within, each process counts the images that it sends to the model; afterwards all have counted those of all."""
    ranks = current_ranks()
    if ranks.size == 1 or counted is None:
        yield
        return
    import torch

    before = torch.tensor([counted.num_images, counted.num_requests])
    yield
    own = torch.tensor([counted.num_images, counted.num_requests]) - before
    counted.num_images, counted.num_requests = (before + ranks.add(own)).tolist()
