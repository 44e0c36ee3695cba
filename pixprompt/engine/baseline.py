"""The answers without any prompt, which a run by gradients asks for first and keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core import ConfigError, OutputTransform
from ..models import DualEncoder
from ..outputs import candidates
from .answers import Answered, accuracy, ask_all
from .fit.checkpoint import load_state, save_state
from .parts import Parts, Split
from .report import Reporter

__all__ = ["best_without_prompt", "identity_of", "plain_answers"]


def plain_answers(
    parts: Parts, folder: Path, identity: str, train: Split, val: Split, reporter: Reporter
) -> tuple[Answered, Answered]:
    """Asks about train and val without any prompt; a resumed run reads the answers instead of asking again.

    Raises:
        ConfigError: The folder holds the answers of another run.
    """
    path = folder / "checkpoint" / "plain.safetensors"
    kept = load_state(path)
    if kept is not None:
        tensors, values = kept
        if values["identity"] != identity:
            raise ConfigError(
                f"{folder} was started with other images, classes, mapping or model than these, or in another order. "
                "Bring those back, or start a new run."
            )
        parts.counted.num_images, parts.counted.num_requests = values["images"], values["requests"]
    else:
        reporter.stage("no prompt", len(train.plain.labels) + len(val.plain.labels))
        tensors = {
            name: ask_all(parts.counted, split.plain, device=parts.device, reporter=reporter).outputs
            for name, split in (("train", train), ("val", val))
        }
        counts = {"images": parts.counted.num_images, "requests": parts.counted.num_requests}
        save_state(path, tensors, {"identity": identity, **counts})
    return (
        Answered(tensors["train"], torch.from_numpy(np.array(train.plain.labels))),
        Answered(tensors["val"], torch.from_numpy(np.array(val.plain.labels))),
    )


def identity_of(parts: Parts, own: OutputTransform, train: Split, val: Split, **more: Any) -> str:
    """Returns a digest of what the answers of a run depend on, and of further facts in JSON."""
    facts = {
        "model": [parts.spec.name, parts.spec.num_outputs, parts.weights_sha256],
        "classes": parts.data.classes,
        "output": own.kind if own.fits else own.to_json(),
        "canvases": [parts.plain.to_json(), parts.canvas.to_json()],
        "images": [(split.plain.names, split.plain.labels.tolist()) for split in (train, val)],
        "test": (parts.data.test.names, parts.data.test.labels.tolist()),
        **more,
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def best_without_prompt(parts: Parts, own: OutputTransform, train: Answered, val: Answered) -> OutputTransform:
    """Returns the transform that validates best without a prompt, from the same labelled answers; own wins ties."""
    own = own.to("cpu")
    fitted = [own]
    has_text = isinstance(parts.model, DualEncoder)
    for kind in candidates(parts.spec, has_text, classes=parts.data.classes):
        if kind != own.kind:
            fitted.append(parts.output(kind).to("cpu").refit(train.outputs, train.labels))
    return max(fitted, key=lambda output: accuracy(output(val.outputs), val.labels))
