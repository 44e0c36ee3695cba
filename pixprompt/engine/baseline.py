"""The accuracy before anything is learned: answers to labelled images, read by output transforms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core import OutputTransform
from ..files.tensors import load_state, save_state
from ..ledger import Querier
from ..models import text_encoder
from ..outputs import LinearForm, candidates
from .answers import Answered, accuracy
from .session import Session

__all__ = ["Baseline", "measure_baseline"]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The answers without anything learned, and how they are read.

    Attributes:
        train: Outputs of training images, on the canvas of the model's own setting.
        val: Outputs of validation images, on the same canvas.
        output: The output transform of the first rung; where a head is learned, the one that learns least.
        best: The output transform that validates best, of the second rung.
        fallback: The output transform that is saved where no prompt is.
        val_positions: Positions of the validation images, (V,); None for all.
        repeats: How often each labelled image was queried, where answers to the same image differ.
    """

    train: Answered
    val: Answered
    output: OutputTransform
    best: OutputTransform
    fallback: OutputTransform
    repeats: int = 1
    val_positions: Tensor | None = None


def measure_baseline(session: Session[Querier], output: OutputTransform, identity: str) -> Baseline:
    """Queries the model about train and val; a resumed run reads the answers instead.

    Args:
        output: Of the run; fitted here, if it learns from answers.
        identity: Digest of what the answers depend on.

    Raises:
        ConfigError: The folder holds the answers of another run.
    """
    parts = session.parts
    train, val = (session.canvases(name, parts.plain) for name in ("train", "val"))
    path = session.folder.checkpoint("plain.safetensors")
    stored = load_state(path)
    if stored is not None:
        tensors, values = stored
        session.folder.check_identity(values["identity"], identity)
        parts.counted.num_images, parts.counted.num_requests = values["images"], values["requests"]
    else:
        session.reporter.stage("no prompt", len(train.labels) + len(val.labels))
        tensors = {name: session.query(name, parts.plain).outputs for name in ("train", "val")}
        counts = {"images": parts.counted.num_images, "requests": parts.counted.num_requests}
        save_state(path, tensors, {"identity": identity, **counts})
    answered, checked = (
        Answered(tensors[name], torch.from_numpy(np.array(split.labels)))
        for name, split in (("train", train), ("val", val))
    )
    own = (output.refit(answered.outputs, answered.labels) if output.fits else output).to("cpu")
    has_text = text_encoder(parts.model) is not None
    others = [
        parts.output(kind).to("cpu").refit(answered.outputs, answered.labels)
        for kind in candidates(parts.spec, has_text, classes=parts.data.classes)
        if kind != own.kind
    ]
    # Own wins ties.
    best = max([own, *others], key=lambda output: accuracy(output(checked.outputs), checked.labels))
    plainest = others[0] if isinstance(own, LinearForm) else own
    fallback = best if parts.config.output.kind == "auto" else own
    return Baseline(train=answered, val=checked, output=plainest, best=best, fallback=fallback)
