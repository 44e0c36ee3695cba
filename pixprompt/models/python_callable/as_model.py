"""`python:module:attribute[@SIZE]`: any callable that takes images and answers in some form."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from pathlib import Path
from types import ModuleType

from torch import nn

from ...core import AnswerKind, ConfigError, Model, ModelError, ModelSpec, NamedSpec, UnknownName
from ...registry import suggest
from .input_forms import declared_form
from .probing import probe
from .zero_shot import ZeroShotCallable, takes_labels

__all__ = ["as_model", "load"]


def load(target: str, *, name: str, weights: Path | None = None) -> Model:
    """Imports a callable and makes a model of it; modules of the current folder are found.

    Args:
        target: module:attribute, `@224` or `@224x160` (height x width) at its end if images are not 224x224 and the
            callable has no attribute `image_size`.
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
    size = (int(form["height"]), int(form["width"] or form["height"])) if form["height"] else None
    module = _imported(form["module"])
    try:
        value = reduce(getattr, form["attribute"].split("."), module)
    except AttributeError as error:
        close = suggest(form["attribute"], vars(module))
        raise UnknownName(f"module {form['module']!r} has no attribute {form['attribute']!r}.{close}") from error
    if not callable(value):
        raise ModelError(f"{name!r} is {type(value).__name__}, expected a callable: images -> scores.")
    return as_model(value, image_size=size, name=name)


def as_model(
    fn_or_module: Callable[..., object],
    *,
    image_size: tuple[int, int] | int | None = None,
    num_outputs: int | None = None,
    labels: Sequence[str] | None = None,
    answer: AnswerKind | str | None = None,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    name: str | None = None,
    takes: str | None = None,
) -> Model:
    """Makes a model of a callable, or returns it as it is if it already is one (has `spec` and `access`).

    What it takes is said by `takes`, by an attribute of that name, or by the annotation of its first parameter:

    - "tensor": images (N, 3, H, W), float32. Gradients are used where they flow back.
    - "image": one PIL image. "images": a list of N. "array": a uint8 numpy array (N, H, W, 3).

    Where nothing is said, it gets one grey image in one form after the other until it answers; each of these queries
    may be a paid one, and `probe_queries` of the model counts them. One is always sent, to see the answer's form.
    Attributes `takes`, `labels`, `answer` and `image_size` of a plain callable serve where the arguments are left out.
    A net (`nn.Module`) takes tensors, and is not changed: it is held in evaluation mode, without parameter gradients,
    only while it answers.

    It returns one answer per image, all in the same form. For one image these are possible:

    - An array, tensor or list of S scores. They are PROBABILITIES if those of the grey image lie in [0, 1] and sum to
      1 within rounding, otherwise LOGITS; `answer` goes before that. Those of a differentiable callable are LOGITS
      unless `answer` says otherwise.
    - A dictionary of label to score, or a list of (label, score). If `labels` are given and the first answer names
      them all, as for an array; otherwise TOP_K, probabilities of the labels that are named.
    - A text: LABEL. It is a label, or a sentence that mentions one; see `Vocabulary`.

    For TOP_K and LABEL without `labels`, these are collected as the answers arrive.

    A callable with a second parameter `labels` answers about labels that the caller names, one score for each: a
    zero-shot classifier. A run names its classes and more; an attribute `max_labels` limits their number.

    Args:
        fn_or_module: A net, or any callable.
        image_size: (height, width) of the images that it expects, or one number for both; 224 by default.
        num_outputs: S of an array, if it should be checked.
        labels: S names of its classes.
        answer: What the numbers of its answers are; None to infer it.
        mean: Subtracted from tensors in [0, 1], per channel; the default leaves them in [0, 1].
        std: They are divided by it afterwards.
        takes: See above; None to infer it.

    Raises:
        ConfigError: The labels are not S, or the settings do not go together.
        ModelError: The callable fails, or returns something else.
    """
    if isinstance(fn_or_module, Model):
        return fn_or_module
    is_net = isinstance(fn_or_module, nn.Module)
    declared = {} if is_net else {key: getattr(fn_or_module, key, None) for key in ("image_size", "labels", "answer")}
    kind = declared.get("answer") if answer is None else answer
    spec = ModelSpec(
        name=name or str(getattr(fn_or_module, "__name__", type(fn_or_module).__name__)),
        image_size=_size(declared.get("image_size") if image_size is None else image_size),
        num_outputs=num_outputs or 0,
        answer=AnswerKind.LOGITS if kind is None else _kind(kind),
        labels=_labels(declared.get("labels") if labels is None else labels),
    )
    if is_net and takes not in (None, "tensor"):
        raise ConfigError(f"a net takes tensors, got takes={takes!r}; wrap it in a function that takes something else.")
    form = "tensor" if is_net else declared_form(fn_or_module, takes)
    if not is_net and takes_labels(fn_or_module):

        def about(chosen: tuple[str, ...]) -> Model:
            named = NamedSpec(**{**vars(spec), "labels": chosen, "num_outputs": 0})
            bound = partial(fn_or_module, labels=list(chosen))
            return probe(bound, named, form, mean=mean, std=std, answer=None if kind is None else spec.answer)

        return ZeroShotCallable(fn_or_module, spec, about)
    return probe(fn_or_module, spec, form, mean=mean, std=std, answer=None if kind is None else spec.answer)


def _size(size: object) -> tuple[int, int]:
    if size is None:
        return 224, 224
    sides = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError(f"image_size is (height, width) or one number of pixels, got {size!r}.")
    return sides


def _labels(labels: object) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise ConfigError(f"labels is a list of names, got {labels!r}.")
    return tuple(str(label) for label in labels)


def _kind(answer: object) -> AnswerKind:
    try:
        return AnswerKind(str(answer))
    except ValueError as error:
        raise ConfigError(f"answer is one of {', '.join(AnswerKind)}, got {answer!r}.") from error


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
