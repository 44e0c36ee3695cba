"""Mappings by name, without labelled answers: each class reads the source of the same name, or of the nearest one."""

from __future__ import annotations

from typing import ClassVar

from ...core import ConfigError
from ..base import Setup
from ..mapping import Mapping, match_greedily
from ..sources import SourceNames
from .templates import DEFAULT, check_templates, pretty
from .text import encode_words

__all__ = ["NamesMapping", "SemanticMapping"]


class NamesMapping(Mapping):
    """Each class reads the source label of the same name; needs no labelled answers at all.

    Names are compared in any case, with `_` and `-` as spaces; a label counts as a whole or by one of its
    comma-separated synonyms. Where several labels have that name, their mean is read.
    """

    kind: ClassVar[str] = "names"

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        names = SourceNames(setup.spec.labels)
        mapping = tuple(names.find(name) for name in setup.classes)
        nameless = [name for name, sources in zip(setup.classes, mapping, strict=True) if not sources]
        if nameless:
            what = "has no known labels" if setup.spec.labels is None else "has no label of that name"
            raise ConfigError(
                f"the output transform 'names' finds nothing for {', '.join(nameless)}: {setup.spec.name} {what}. "
                "Choose 'given' with a mapping file, or one that learns: 'frequency', 'blm', 'linear'."
            )
        if not names.serve(setup.classes):
            raise ConfigError(
                "the output transform 'names' finds the same label for several classes; choose 'given' with a mapping "
                "file."
            )
        return mapping


class SemanticMapping(Mapping):
    """Each class reads the source with the nearest name in a text encoder, each source once.

    The pairs are matched greedily, the most similar one first. A source label with synonyms counts as its first one.
    The text encoder is used once and not saved.

    Reference: arXiv:2310.08381 (AutoVP, semantic mapping; there a source may serve several classes in turn).
    """

    kind: ClassVar[str] = "semantic"
    one_to_one: ClassVar[bool] = True

    @classmethod
    def _first(cls, setup: Setup) -> tuple[tuple[int, ...], ...]:
        labels, encode_text = setup.spec.labels, setup.encode_text
        if labels is None:
            raise ConfigError(
                f"the output transform 'semantic' compares names, but {setup.spec.name} has no known labels; use a "
                "model that names its outputs, or choose 'given' with a mapping file of indices, or 'frequency'."
            )
        if encode_text is None:
            raise ConfigError(
                "the output transform 'semantic' needs a text encoder: give encode_text, for example that of an "
                "open_clip model, or choose 'given' with a mapping file, or 'frequency'."
            )
        templates = check_templates(DEFAULT if setup.texts is None else setup.texts)
        words = setup.words or tuple(pretty(name) for name in setup.classes)
        sources = encode_words(encode_text, templates, [pretty(label.split(",")[0]) for label in labels])
        targets = encode_words(encode_text, templates, words)
        return tuple(match_greedily((sources @ targets.T).cpu()))
