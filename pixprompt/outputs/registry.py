"""How an output transform is made by name, saved in a prompt file and read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core import AnswerKind, ConfigError, ModelSpec, NamedSpec, PromptError, UnknownName
from .base import Setup, Transform
from .catalogue import OUTPUTS
from .direct import Direct
from .scores import NAMED
from .sources import SourceNames

__all__ = ["candidates", "make_output", "output_from_json"]

_READ_FILES = ("given", "attributes", "reweighted")


def make_output(
    kind: str,
    *,
    classes: Sequence[str],
    spec: ModelSpec,
    seed: int = 0,
    mapping_file: Path | None = None,
    texts: Sequence[str] | None = None,
    words: Sequence[str] | None = None,
    encode_text: Callable[[Sequence[str]], Tensor] | None = None,
    logit_scale: float = 100.0,
    views: int = 1,
    smoothing: float | None = None,
    top: int | None = None,
    nearest: int | None = None,
    sources: int | None = None,
) -> Transform:
    """Builds an output transform by name.

    Args:
        kind: A name of OUTPUTS.
        classes: K distinct names of the target classes.
        spec: Spec of the model whose answers come in.
        seed: For "random" and for the fold on which "linear" chooses its strength.
        mapping_file: For "given": {"class": source or list of sources}; for "attributes" and "reweighted": see
            `read_attributes`.
        texts: Templates with one {} each, for "text" and "semantic"; see `texts_for`.
        words: K words that stand for the classes in texts; see `words_for`.
        encode_text: T texts -> (T, D) embeddings, for "text", "residual", "attributes" and "semantic".
        logit_scale: Factor on cosine similarities, for "text" and "attributes".
        views: How many answers about each image stand side by side.
        smoothing: For "blm" and "blm+": added to the total of each source, at least 0; 1 where it is None.
        top: For "blm+": likeliest sources that count; chosen on held-out answers where it is None.
        nearest: For "attributes": texts of each kind and class that count; 3 where it is None.
        sources: For "frequency" and "iterative": sources of each class, 1 where it is None; for "weighted": 20.

    Raises:
        ConfigError: The kind does not fit the model, has no such constant, or lacks something it needs.
    """
    output = OUTPUTS[kind]
    if not classes or len(set(classes)) != len(classes):
        raise ConfigError(f"expected one or more distinct class names, got {', '.join(classes) or 'none'}.")
    if mapping_file is not None and kind not in _READ_FILES:
        known = " or ".join(map(repr, _READ_FILES))
        raise ConfigError(f"a mapping file goes with the output transform {known}, not with {kind!r}.")
    chosen = {"smoothing": smoothing, "top": top, "nearest": nearest, "sources": sources}
    constants = {name: value for name, value in chosen.items() if value is not None}
    for name in constants:
        if name not in output.constants:
            raise ConfigError(f"the output transform {kind!r} has no {name}; leave it out.")
    _check_fit(output, spec, len(classes))
    transform = output.make(
        Setup(
            tuple(classes),
            spec,
            seed,
            mapping_file,
            None if texts is None else tuple(texts),
            None if words is None else tuple(words),
            encode_text,
            logit_scale,
            views,
            constants,
        )
    )
    by_name = spec.answer in NAMED or isinstance(spec, NamedSpec)
    return replace(transform, floor=spec.floor, labels=(spec.labels or ()) if by_name else (), views=views)


def output_from_json(
    values: dict[str, Any],
    *,
    spec: ModelSpec,
    encode_text: Callable[[Sequence[str]], Tensor] | None = None,
    logit_scale: float = 100.0,
) -> Transform | Direct:
    """Reads what `to_json` of a transform wrote; its logits are bit-equal.

    Args:
        values: The `output` object of a prompt file.
        spec: Spec of the model whose answers will come in.
        encode_text: Used only where a "text" description lacks its embeddings.
        logit_scale: Used only where a "text" description lacks its own.

    Raises:
        PromptError: The description is damaged, or made for another kind of model.
    """
    try:
        classes = tuple(values["classes"])
        if values["kind"] == Direct.kind:
            return Direct(classes)
        output = OUTPUTS[values["kind"]]
        _check_fit(output, spec, len(classes))
        if values.get("labels") and tuple(values["labels"]) != spec.labels:
            raise ConfigError(
                f"its {len(values['labels'])} sources have other names than those of {spec.name}; a model that finds "
                "its labels as it is queried must be given these: restore(labels, closed=True)."
            )
        if values["num_outputs"] != spec.num_outputs:
            raise ConfigError(f"it was made for {values['num_outputs']} outputs, {spec.name} has {spec.num_outputs}.")
        if values["answer"] != spec.answer and not output.shift_invariant:
            raise ConfigError(f"it was made for {values['answer']}, {spec.name} answers with {spec.answer}.")
        return output.restore(values, Setup(classes, spec, encode_text=encode_text, logit_scale=logit_scale))
    except UnknownName as error:
        raise PromptError(f"{error} Was the prompt made by a newer pixprompt?") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise PromptError(f"the output transform of the prompt file cannot be used: {reason}") from error


def candidates(
    spec: ModelSpec, has_text: bool, num_classes: int = 1, *, classes: Sequence[str] = (), few: bool = False
) -> tuple[str, ...]:
    """Returns the kinds that can serve without a prompt from labelled answers alone, those that learn least first.

    Args:
        has_text: Whether the model has a text encoder; then "text" competes, although it learns nothing.
        num_classes: K; a one-to-one mapping needs as many sources.
        classes: K names, instead of their number: "names" competes if the model has labels of all these names.
        few: Whether the labelled answers are so few that other ways to fit a linear transform may read them better.
    """
    linear = ("lda", "ridge", "linear") if few else ("linear",)
    if spec.answer is AnswerKind.EMBEDDINGS:
        return ("text", *linear) if has_text else linear
    kinds = ["blm", "blm+", *linear]
    if spec.answer is AnswerKind.LABEL:
        kinds.remove("blm+")  # the same as "blm" where an answer is one label
    if max(num_classes, len(classes)) <= spec.num_outputs:
        kinds.insert(0, "frequency")
    if classes and SourceNames(spec.labels).serve(classes):
        kinds.insert(0, "names")
    return tuple(kinds)


def _check_fit(output: type[Transform], spec: ModelSpec, num_classes: int) -> None:
    if spec.answer not in output.answers:
        fitting = [name for name in OUTPUTS if spec.answer in OUTPUTS[name].answers]
        raise ConfigError(
            f"the output transform {output.kind!r} does not go with {spec.answer}, which {spec.name} answers with; "
            f"choose one of {', '.join(fitting)}."
        )
    if output.one_to_one and num_classes > spec.num_outputs:
        raise ConfigError(
            f"the output transform {output.kind!r} gives each of {num_classes} classes a source of its own, but "
            f"{spec.name} has only {spec.num_outputs}; choose 'blm', 'blm+' or 'linear'."
        )
