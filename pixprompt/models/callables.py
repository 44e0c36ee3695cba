"""`python:module:attribute[@SIZE]`: any callable that takes images and returns scores."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from ..core import Access, AnswerKind, ConfigError, Model, ModelError, ModelSpec, UnknownName
from ..registry import suggest
from .frozen import frozen
from .torch_model import TorchModel, check_outputs

__all__ = ["as_model", "load"]

_GREY = 0.5
_WANTS_NO_GRAD = "requires grad"
"""Part of torch's message when a function leaves torch (`images.numpy()`)."""


class _Function(nn.Module):
    """A plain function where a net is expected."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def load(target: str, *, name: str, weights: Path | None = None) -> Model:
    """Imports a callable and makes a model of it; modules of the current folder are found.

    Args:
        target: module:attribute, `@224` or `@224x160` (height x width) at its end if images are not 224x224.
        name: What the user typed.
        weights: Must be None; a callable brings its own.

    Raises:
        ConfigError: The form is another one, or weights were given.
        ModelError: The module fails on import, or the callable on one grey image.
        UnknownName: There is no such module or attribute.
    """
    if weights is not None:
        raise ConfigError("--weights does not go with python: models; load them in the module.")
    form = re.fullmatch(r"(?P<module>[\w.]+):(?P<attribute>[\w.]+)(@(?P<height>\d+)(x(?P<width>\d+))?)?", target)
    if form is None:
        raise ConfigError(f"expected python:module:attribute or python:module:attribute@SIZE, got {name!r}.")
    size = int(form["height"] or 224)
    module = _imported(form["module"])
    try:
        found = reduce(getattr, form["attribute"].split("."), module)
    except AttributeError as error:
        close = suggest(form["attribute"], vars(module))
        raise UnknownName(f"module {form['module']!r} has no attribute {form['attribute']!r}.{close}") from error
    if not callable(found):
        raise ModelError(f"{name!r} is {type(found).__name__}, expected a callable: images (N, 3, H, W) -> (N, S).")
    return as_model(found, image_size=(size, int(form["width"] or size)), name=name)


def as_model(
    fn_or_module: Callable[[Tensor], Tensor],
    *,
    image_size: tuple[int, int] = (224, 224),
    num_outputs: int | None = None,
    labels: Sequence[str] | None = None,
    answer: AnswerKind = AnswerKind.LOGITS,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    name: str | None = None,
) -> Model:
    """Makes a model of a callable, or returns it as it is if it already is one (has `spec` and `access`).

    It is called once with one grey image, to see how many outputs come and whether gradients flow back. A net is not
    changed: it is held in evaluation mode, without parameter gradients, only while it answers.

    Args:
        fn_or_module: Takes images (N, 3, H, W), float32, and returns a tensor (N, S).
        image_size: (height, width) of the images that it expects.
        num_outputs: S, if it should be checked.
        labels: S names of its classes.
        answer: What the numbers of its answers are.
        mean: Subtracted from the images in [0, 1], per channel; the default leaves them in [0, 1].
        std: They are divided by it afterwards.
        name: For messages and saved prompts.

    Raises:
        ConfigError: The labels are not S.
        ModelError: The callable fails, or returns something else.
    """
    if isinstance(fn_or_module, Model):
        return fn_or_module
    is_net = isinstance(fn_or_module, nn.Module)
    net = fn_or_module if isinstance(fn_or_module, nn.Module) else _Function(fn_or_module)
    spec = ModelSpec(
        name=name or str(getattr(fn_or_module, "__name__", type(fn_or_module).__name__)),
        image_size=image_size,
        num_outputs=num_outputs or 0,
        answer=answer,
        labels=None if labels is None else tuple(labels),
    )
    outputs, flows = _probed(net, spec, mean, std)
    if spec.labels is not None and len(spec.labels) != outputs.shape[1]:
        raise ConfigError(f"got {len(spec.labels)} labels for {outputs.shape[1]} outputs.")
    access = Access.SCORES if not flows else Access.INTERNALS if is_net else Access.GRADIENTS
    model = TorchModel(net, replace(spec, num_outputs=outputs.shape[1]), mean=mean, std=std, access=access)
    return model.to(_device(net))


def _probed(net: nn.Module, spec: ModelSpec, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, bool]:
    """Returns the outputs for one grey image, (1, S), and whether gradients flow back to the image."""
    device = _device(net)
    grey = torch.full((1, 3, *spec.image_size), _GREY, device=device)
    grey = (grey - torch.tensor(mean, device=device)[:, None, None]) / torch.tensor(std, device=device)[:, None, None]
    try:
        with frozen(net), torch.enable_grad():
            answer = net(grey.requires_grad_())
    except Exception as error:
        if _WANTS_NO_GRAD not in str(error):
            raise _failed(spec, error) from error
        try:
            with frozen(net), torch.no_grad():
                answer = net(grey.detach())
        except Exception as second:
            raise _failed(spec, second) from second
    outputs = check_outputs(answer, 1, spec.num_outputs or None, spec.name)
    if not outputs.requires_grad:
        return outputs, False
    (gradient,) = torch.autograd.grad(outputs.sum(), grey, allow_unused=True)
    return outputs.detach(), gradient is not None


def _failed(spec: ModelSpec, error: Exception) -> ModelError:
    height, width = spec.image_size
    return ModelError(
        f"model {spec.name!r} failed on one grey image (1, 3, {height}, {width}): {type(error).__name__}: {error}. "
        "Does it expect another size? python:module:attribute@SIZE, or image_size=."
    )


def _device(net: nn.Module) -> torch.device:
    for tensor in (*net.parameters(), *net.buffers()):
        return tensor.device
    return torch.device("cpu")


def _imported(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UnknownName(f"no module {name!r} in {folder} or among the installed packages.") from error
        raise ModelError(f"module {name!r} cannot be imported: {error}.") from error
    except Exception as error:
        raise ModelError(f"module {name!r} cannot be imported: {type(error).__name__}: {error}.") from error
