"""What the studies vary: rows of settings."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core import AnswerKind, ConfigError, Model
from ..data import Data
from ..engine.answers import query_canvases, reproducible
from ..engine.config.train_config import TrainConfig
from ..engine.parts import Parts, build, canvases_of
from ..engine.progress import Reporter
from ..files import make_folder, read_json, write_json
from ..outputs import texts_for
from ..registry import suggest
from ..templates import TEMPLATES, Over, make_template

__all__ = ["ROWS", "Row", "StudySettings"]

_TEXTS = (
    "This is a photo of a {}",
    "a photo of a {}",
    "{}",
    "a blurry low-resolution image of a {}",
    "a drawing of a {}",
    "there is no {} in this picture",
)
"""From usual to misleading: the study asks what a prompt gains where the text says little."""
_MAPPINGS = ("kept", "swapped", "random", "random", "random")
_SIZES = ("1", "5", "10", "20", "30", "50", "80")


@dataclass(frozen=True)
class Row:
    """One run of a study.

    Attributes:
        name: In the table and the plot.
        settings: Fields of TrainConfig that differ from the study's own.
        identity: What makes it another run besides its settings: the content of a mapping file.
    """

    name: str
    settings: Mapping[str, Any]
    identity: Any = field(default=None)


@dataclass(frozen=True)
class StudySettings:
    """The arguments of `study`.

    Attributes:
        config: All settings that are not varied.
        values: What is varied; empty for the study's own values.
        model: Instead of the one that `config` names.
        data: Instead of the one that `config` names.
    """

    config: TrainConfig
    values: tuple[str, ...]
    folder: Path
    reporter: Reporter
    model: Model | None = None
    data: Data | None = None

    def parts(self, **changes: Any) -> Parts:
        """Builds the parts of the study's own configuration, but for what is changed."""
        return build(self.config.with_values(**changes), model=self.model, data=self.data)


def _text(study: StudySettings) -> list[Row]:
    for value in study.values:
        texts_for(study.config.data.name, value)
    return [Row(value, {"output": "text", "text": value}) for value in _distinct(study.values or _TEXTS)]


def _mapping(study: StudySettings) -> list[Row]:
    for value in study.values:
        if value not in _MAPPINGS:
            raise ConfigError(f"no mapping {value!r} in this study.{suggest(value, _MAPPINGS)} Known: kept, swapped, "
                              "random.")  # fmt: skip
    parts = study.parts(output=study.config.output.kind or "frequency")
    saved_mapping = _saved_mapping(parts, study)
    rows, draws = [], 0
    for value in study.values or _MAPPINGS:
        name, mapping = value, saved_mapping
        if value == "swapped":
            mapping = [*saved_mapping[1:], saved_mapping[0]]
        elif value == "random":
            draws += 1
            name, mapping = f"random {draws}", _random(parts, draws)
        settings, entries = _write_mapping(study.folder, name, parts.data.classes, mapping)
        rows.append(Row(name, settings, entries))
    return _distinct_names(rows)


def _saved_mapping(parts: Parts, study: StudySettings) -> list[list[int]]:
    """Returns the sources of each class under the configured mapping, asking the model where it must be fitted."""
    if parts.spec.answer is AnswerKind.EMBEDDINGS:
        raise ConfigError(f"{parts.spec.name} answers with embeddings: there is no mapping to vary; study its texts.")
    identity = json.dumps([parts.config.to_json(), parts.data.classes, parts.spec.name])
    path = study.folder / "mappings" / f"kept-{hashlib.sha256(identity.encode()).hexdigest()[:10]}.json"
    if not path.exists():
        output = parts.output()
        if output.fits:
            images, workers = parts.data.train, parts.config.data.workers
            plain = canvases_of(images, parts.plain, workers, study.reporter, "read train")
            study.reporter.stage("first mapping", len(plain.labels))
            with reproducible():
                answered = query_canvases(parts.counted, plain, device=parts.device, reporter=study.reporter)
            output = output.refit(answered.outputs, answered.labels)
        mapping = output.to_json().get("mapping")
        if mapping is None:
            raise ConfigError(
                f"output {output.kind!r} gives classes no sources of their own; study 'frequency', 'semantic', 'given' "
                "or 'first-k' with --output."
            )
        make_folder(path.parent)
        write_json(path, mapping)
    mapping = read_json(path)
    return [[int(index) for index in sources] for sources in mapping]


def _random(parts: Parts, number: int) -> list[list[int]]:
    """Returns a source for each class, none twice."""
    classes, sources = len(parts.data.classes), parts.spec.num_outputs
    if classes > sources:
        raise ConfigError(f"{classes} classes cannot have a source each of {sources} outputs.")
    labels = np.random.default_rng([parts.config.seed, number]).permutation(sources)[:classes]
    return [[int(index)] for index in labels]


def _write_mapping(
    folder: Path, name: str, classes: Sequence[str], mapping: Sequence[Sequence[int]]
) -> tuple[dict[str, Any], Any]:
    """Writes a mapping file and returns the settings that read it."""
    entries = {label: list(sources) for label, sources in zip(classes, mapping, strict=True)}
    digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:10]
    path = make_folder(folder / "mappings") / f"{name.replace(' ', '-')}-{digest}.json"
    write_json(path, entries)
    return {"output": "given", "mapping": str(path), "text_encoder": None}, entries


def _templates(study: StudySettings) -> list[Row]:
    """Every template with about as many learned numbers as a padding of the configured size; "full" has all."""
    for value in study.values:
        TEMPLATES[value]
    if study.config.prompt.fit == "shrink":
        raise ConfigError("fit 'shrink' is for paddings only; study the templates with --fit resize.")
    frame = study.parts(template="padding", place=None).template.geometry
    side = min(*frame.size, max(1, round(math.sqrt(frame.num_pixels))))
    rows = []
    for value in study.values or tuple(TEMPLATES):
        patch = value not in ("padding", "full")
        place = {} if patch or study.config.prompt.place is None else {"place": None}
        size = side if patch else frame.params["size"]
        rows.append(Row(value, {"template": value, "size": size, **place}))
    return _distinct_names(rows)


def _sizes(study: StudySettings) -> list[Row]:
    config, values = study.config, study.values
    template = study.parts(size=config.prompt.size or 1).template
    sizes = []
    for value in _distinct(values or _SIZES):
        if not value.isdecimal():
            raise ConfigError(f"a size is a whole number of pixels, got {value!r}.")
        try:
            make_template(
                template.name,
                canvas_size=template.geometry.size,
                size=int(value),
                blend=Over(),
                place=config.prompt.place,
            )
        except ConfigError:
            if values:
                raise
            continue  # a default that is too large for this canvas
        sizes.append(int(value))
    return [Row(f"{template.name} {size}", {"size": size}) for size in sizes]


def _distinct(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _distinct_names(rows: Sequence[Row]) -> list[Row]:
    return list({row.name: row for row in rows}.values())


ROWS: dict[str, Callable[[StudySettings], list[Row]]] = {
    "text": _text,
    "mapping": _mapping,
    "templates": _templates,
    "sizes": _sizes,
}
"""Name of a study -> what makes its rows."""
