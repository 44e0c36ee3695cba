"""Adapters as files: what was learned and what it takes to build the adapter again; never the backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Generator, Tensor, nn

from ..core import ConfigError, Model, PixpromptError, PromptError
from ..models import DirectQuerier
from ..outputs import output_from_json
from ..templates import Add, Over, PixelTemplate, make_template
from ..tensor_file import load_state, save_state
from ..version import __version__
from .baselines import make_baseline
from .pixel import PixelPrompt
from .sa2vp import make_sa2vp
from .vpt import make_vpt
from .whitebox import WhiteBox, local_model

if TYPE_CHECKING:
    from .beside import BesideModel

__all__ = ["backbone_sha256", "load_adapter", "make_white_box", "save_adapter"]

_KIND, _SCHEMA = "adapter", 1


def make_white_box(
    method: str,
    model: Model | nn.Module,
    classes: Sequence[str],
    *,
    generator: Generator | None = None,
    **options: Any,
) -> WhiteBox:
    """Makes an adapter that reaches into a model.

    Args:
        method: vpt-shallow, vpt-deep, sa2vp-shallow, sa2vp-deep, or a name of BASELINES.
        model: The backbone: a torch model of this package, or a plain timm net.
        classes: K target class names.
        generator: Draws the first numbers; by default one that is seeded with 0.
        options: Of `make_vpt`, `make_sa2vp` or `make_baseline`.

    Raises:
        ConfigError: The options do not fit the method or the model.
        UnknownName: There is no such method.
    """
    family, _, depth = method.partition("-")
    if family in ("vpt", "sa2vp") and depth in ("shallow", "deep"):
        make = make_vpt if family == "vpt" else make_sa2vp
        return make(local_model(model), classes, deep=depth == "deep", generator=generator, **options)
    return make_baseline(method, local_model(model), classes, generator=generator, **options)


def save_adapter(path: str | Path, adapter: BesideModel) -> None:
    """Writes an adapter to a safetensors file; see `BesideModel.save`."""
    if isinstance(adapter, PixelPrompt):
        values: dict[str, Any] = {
            "method": "pixel",
            "template": _described(adapter.template),
            "space": adapter.space,
            "output": adapter.output.to_json(),
        }
    elif isinstance(adapter, WhiteBox) and adapter.recipe is not None:
        method, options = adapter.recipe
        digest = backbone_sha256(adapter)
        values = {"method": method, "options": options, "classes": adapter.output.classes, "backbone_sha256": digest}
    else:
        raise ConfigError(f"{type(adapter).__name__} was built by hand; make it with make_white_box to save it.")
    tensors = adapter.state_dict()
    facts = {"kind": _KIND, "schema": _SCHEMA, "version": __version__, "model": adapter.model.spec.name}
    save_state(Path(path), tensors, {**facts, **values, "tensors_sha256": _digest(tensors)})


def load_adapter(path: str | Path, model: Model | nn.Module) -> PixelPrompt | WhiteBox:
    """Reads what `adapter.save` wrote, beside a model; runs no code of the file.

    Args:
        path: The file.
        model: The model that the adapter was learned for; a pixel prompt takes any with as many outputs.

    Returns:
        The adapter in evaluation mode, on the device of the model.

    Raises:
        AccessError: The adapter reaches into the model, which only answers.
        PromptError: The file is missing, damaged or foreign, or was learned beside another backbone.
    """
    path = Path(path)
    tensors, values = _read(path)
    try:
        if values["method"] == "pixel":
            return _pixel(values, tensors, model)
        adapter = make_white_box(values["method"], model, values["classes"], **values["options"])
        if backbone_sha256(adapter) != values["backbone_sha256"]:
            raise PromptError(
                f"{path} was learned inside {values['model']}, and {adapter.model.spec.name} has other weights: what "
                "was learned means nothing there. Give the model and the weights that it was learned for."
            )
        adapter.load_state_dict(tensors)
        return adapter.to(adapter.model.mean.device).eval()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, PixpromptError):
            raise
        raise PromptError(f"{path} does not describe an adapter that fits the model ({error}).") from error


def backbone_sha256(adapter: WhiteBox) -> str:
    """Returns a digest of the shapes and bytes of all that an adapter rests on.

    That is the frozen parameters, the statistics of BatchNorm and other stored buffers, and the normalisation.
    """
    model = adapter.model
    learned = {id(parameter) for parameter in model.net.parameters()}
    state = model.net.state_dict(keep_vars=True).values()
    buffers = [value for value in state if isinstance(value, Tensor) and id(value) not in learned]
    return _hash((*adapter.backbone_parameters(), *buffers, model.mean, model.std))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        saved = load_state(path)
    except PixpromptError as error:
        raise PromptError(f"{path} is no adapter file, or it is damaged; save the adapter again.") from error
    if saved is None:
        raise PromptError(f"{path} is missing.")
    tensors, values = saved
    if not isinstance(values, dict) or (values.get("kind"), values.get("schema")) != (_KIND, _SCHEMA):
        raise PromptError(f"{path} is no adapter of schema {_SCHEMA}; load a run with pixprompt.deploy.")
    if values.get("tensors_sha256") != _digest(tensors):
        raise PromptError(f"{path} is damaged: its tensors do not match their digest. Save the adapter again.")
    return tensors, values


def _described(template: PixelTemplate) -> dict[str, Any]:
    blend = template.blend
    if not isinstance(blend, Add | Over):
        raise ConfigError(f"a blend of {type(blend).__name__} is not known to files; use Add or Over.")
    return {
        "name": template.name,
        "canvas_size": template.geometry.size,
        "params": template.geometry.params,
        "blend": {"name": blend.name, **asdict(blend)},
    }


def _pixel(values: Mapping[str, Any], tensors: Mapping[str, Tensor], model: Any) -> PixelPrompt:
    about, blend = values["template"], dict(values["template"]["blend"])
    kind: Any = {"add": Add, "over": Over}[blend.pop("name")]
    place = about["params"].get("place")
    template = make_template(
        about["name"],
        canvas_size=tuple(about["canvas_size"]),
        size=about["params"].get("size"),
        place=place and f"{place[0]},{place[1]}",
        blend=kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in blend.items()}),
    )
    output = output_from_json(values["output"], spec=model.spec)
    adapter = PixelPrompt(template, model, output, start=tensors["theta"], space=values["space"])
    inner = model.model if isinstance(model, DirectQuerier) else model
    place_of = next(inner.buffers(), None) if isinstance(inner, nn.Module) else None
    return adapter.to(place_of.device if place_of is not None else "cpu").eval()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return _hash([tensors[name] for name in sorted(tensors)])


def _hash(tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
