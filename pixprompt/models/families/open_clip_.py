"""`open_clip:NAME/PRETRAINED`, `open_clip:local-dir:PATH`, `open_clip:hf-hub:REPOSITORY`: dual encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...core import AnswerKind, ConfigError, ModelError, ModelSpec, UnknownName
from ...registry import suggest
from ..frozen import frozen
from ..hub import building, hugging_face
from ..weights import load_weights, read_weights
from .dual_encoder import DualEncoder

__all__ = ["load"]

_ASPECTS = {"shortest": "crop", "squash": "squash", "longest": "letterbox"}
_REMEDY = "Give them by hand: --weights FILE, or a folder with open_clip_config.json as open_clip:local-dir:PATH."
_LOCAL, _HUB = "local-dir:", "hf-hub:"


def load(target: str, *, name: str, weights: Path | None = None, pretrained: bool = True) -> DualEncoder:
    """Builds an open_clip model with its pretrained weights, or with those of a file.

    Args:
        target: NAME/PRETRAINED, local-dir:PATH or hf-hub:REPOSITORY.
        weights: A file to take the weights from instead.
        pretrained: Whether weights are looked for where no file is given.

    Raises:
        ModelError: The weights cannot be had or do not fit.
        UnknownName: open_clip has no such model or no such weights.
    """
    import open_clip

    source, options = _source(target)
    what = f"the weights of {name!r} (open_clip model {target!r})"
    offline = target.startswith(_LOCAL) or weights is not None or not pretrained
    with (building if offline else hugging_face)(what, _REMEDY):
        if weights is None and pretrained:
            net = open_clip.create_model(source, require_pretrained=True, precision="fp32", **options)
        else:
            # The tag still decides on the activation and the preprocessing.
            options["force_preprocess_cfg"] = _tag(source, options.pop("pretrained", None))
            net = open_clip.create_model(source, load_weights=False, precision="fp32", **options)
        tokenizer = open_clip.get_tokenizer(source)
    if weights is not None:
        load_weights(net, read_weights(weights), str(weights))
    return _wrapped(net, name, tokenizer)


def _source(target: str) -> tuple[str, dict[str, Any]]:
    if target.startswith(_HUB):
        return target, {}
    if target.startswith(_LOCAL):
        folder = Path(target.removeprefix(_LOCAL)).expanduser()
        if not (folder / "open_clip_config.json").is_file():
            raise ModelError(
                f"no open_clip model at {folder}: expected a folder with open_clip_config.json and weights."
            )
        return f"{_LOCAL}{folder}", {}
    architecture, slash, tag = target.partition("/")
    if not slash:
        raise ConfigError(f"expected open_clip:NAME/PRETRAINED, got {target!r}; for example ViT-B-32/openai.")
    _check_known(architecture, tag)
    # open_clip only warns when the activation of the weights is another one than the net's.
    return architecture, {"pretrained": tag, "force_quick_gelu": bool(_tag(architecture, tag).get("quick_gelu"))}


def _check_known(architecture: str, tag: str) -> None:
    import open_clip

    known = open_clip.list_models()
    if architecture not in known:
        raise UnknownName(f"open_clip has no model {architecture!r}.{suggest(architecture, known)}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        raise UnknownName(
            f"open_clip has no weights {tag!r} for {architecture!r}.{suggest(tag, tags)} Known: {', '.join(tags)}."
        )


def _tag(architecture: str, tag: str | None) -> dict[str, Any]:
    import open_clip

    return dict(open_clip.get_pretrained_cfg(architecture, tag)) if tag else {}


def _wrapped(net: nn.Module, name: str, tokenizer: Any) -> DualEncoder:
    visual: Any = net.visual
    setting = visual.preprocess_cfg
    size = setting["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if "logit_scale" not in net.state_dict():
        raise ModelError(f"model {name!r} has no learned logit scale; expected a contrastive image-text model.")
    encode: Any = net.encode_image
    with frozen(net), torch.no_grad():
        embedding = encode(torch.zeros(1, 3, height, width))
    spec = ModelSpec(
        name=name,
        image_size=(int(height), int(width)),
        num_outputs=int(embedding.shape[-1]),
        answer=AnswerKind.EMBEDDINGS,
        resample=setting["interpolation"] if setting["interpolation"] == "bilinear" else "bicubic",
        aspect=_ASPECTS[setting["resize_mode"]],
    )
    return DualEncoder(net, spec, mean=_triple(setting["mean"]), std=_triple(setting["std"]), tokenizer=tokenizer)


def _triple(value: Any) -> tuple[float, ...]:
    return (value,) * 3 if isinstance(value, int | float) else tuple(value)
