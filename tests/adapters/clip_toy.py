"""A small CLIP whose text side reads words: what every adapter of a dual encoder can be tried on."""

from __future__ import annotations

import torch
from open_clip.model import CLIP
from torch import Tensor

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.models import DualEncoder

from ..backbones.vit_toy import scatter

WORDS = ("<pad>", ".", "a", "photo", "of", "b", "c", "big", "dog")
LENGTH = 24
_FIRST, _LAST = 30, 31


def tokenize(texts: list[str]) -> Tensor:
    """One token a word, between a first and a last one, which has the highest number; then zeros."""
    rows = []
    for text in texts:
        words = text.replace(".", " .").split()
        row = [_FIRST, *(WORDS.index(word) if word in WORDS else 9 + len(word) for word in words)][: LENGTH - 1]
        rows.append(row + [_LAST] + [0] * (LENGTH - 1 - len(row)))
    return torch.tensor(rows)


def toy_clip() -> DualEncoder:
    vision = {"image_size": 32, "patch_size": 16, "width": 24, "layers": 2, "head_width": 12}
    text = {"context_length": LENGTH, "vocab_size": 32, "width": 8, "heads": 2, "layers": 2}
    net = scatter(CLIP(6, vision_cfg=vision, text_cfg=text))
    spec = ModelSpec("toy-clip", (32, 32), 6, answer=AnswerKind.EMBEDDINGS)
    return DualEncoder(net, spec, mean=(0.5,) * 3, std=(0.2,) * 3, tokenizer=tokenize)
