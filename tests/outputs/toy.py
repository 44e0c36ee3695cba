"""A small task for output transforms: seven source classes, three target classes, a text encoder of bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs import OUTPUTS

CLASSES = ("cat", "dog", "sea_horse")
LABELS = ("tabby, tabby cat", "beagle", "chihuahua", "crane", "crane, wading bird", "stove", "Sea Lion")
NAMES = ("tabby", "beagle, DOG", "chihuahua", "Cat", "crane, wading bird", "stove", "Sea-Horse")
"""Labels among which every class of CLASSES has its own."""
SIZE = len(LABELS)
FITTED = ("blm", "blm+", "frequency", "iterative", "lda", "linear", "residual", "reweighted", "ridge", "weighted")


def file_for(kind: str, folder: Path) -> Path | None:
    """Writes the mapping file that a kind reads."""
    contents: dict[str, dict[str, Any]] = {
        "given": {"cat": ["tabby", 5], "dog": ["BEAGLE", "chihuahua"], "sea_horse": "sea lion"},
        "attributes": {
            "cat": {"descriptive": ["fur", "whiskers", "a tail", "paws"], "distinctive": ["purrs"]},
            "dog": {"descriptive": ["fur", "a wet nose"], "distinctive": ["barks", "fetches"]},
            "sea_horse": ["swims", "upright"],
        },
    }
    contents["reweighted"] = contents["attributes"]
    if kind not in contents:
        return None
    path = folder / "mapping.json"
    path.write_text(json.dumps(contents[kind]))
    return path


def encode_text(texts: Sequence[str]) -> Tensor:
    """A text encoder of bytes: the same text has always the same embedding."""
    rows = [np.random.default_rng(list(text.encode())).normal(size=SIZE) for text in texts]
    return torch.tensor(np.stack(rows), dtype=torch.float32)


def spec_for(kind: str) -> ModelSpec:
    answer = AnswerKind.LOGITS if AnswerKind.LOGITS in OUTPUTS[kind].answers else AnswerKind.EMBEDDINGS
    return ModelSpec("toy", (8, 8), SIZE, answer, NAMES if kind == "names" else LABELS)


def answers(count: int = 40, seed: int = 0, num_classes: int = len(CLASSES)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (count,), generator=generator)
    outputs = torch.randn(count, SIZE, generator=generator)
    outputs[torch.arange(count), labels + 2] += 2
    return outputs, labels
