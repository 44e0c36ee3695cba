"""Adapters as files: what was learned and what it takes to build the adapter again; never the backbone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..core import ConfigError, Model, OutputTransform, PixpromptError, PromptError
from ..files.tensors import load_state, save_state, tensors_sha256
from ..outputs import Direct, output_from_json
from ..templates import Add, Over, PixelTemplate, make_template
from ..version import __version__
from .beside import module_of
from .method import METHODS
from .pixel import PixelPrompt
from .whitebox import WhiteBox, make_white_box

if TYPE_CHECKING:
    from .beside import BesideModel

__all__ = ["AdapterFile", "load_adapter", "save_adapter"]

_SCHEMA = 1


@dataclass(frozen=True)
class AdapterFile:
    """The content of an adapter file, safetensors with a JSON object.

    Attributes:
        kind: "adapter", or "segmentation".
    """

    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    kind: str = "adapter"

    @classmethod
    def read(cls, path: str | Path, *, kind: str = "adapter") -> AdapterFile:
        """Reads a file.

        Raises:
            PromptError: It is missing, damaged or foreign.
        """
        path = Path(path)
        try:
            saved = load_state(path)
        except PixpromptError as error:
            raise PromptError(f"{path} is no adapter file, or it is damaged; save the adapter again.") from error
        if saved is None:
            raise PromptError(f"{path} is missing; give a finished run, or what adapter.save wrote.")
        tensors, values = saved
        if not isinstance(values, dict) or (values.get("kind"), values.get("schema")) != (kind, _SCHEMA):
            raise PromptError(f"{path} is no {kind} of schema {_SCHEMA}; this version reads no other.")
        if values.get("tensors_sha256") != tensors_sha256(tensors):
            raise PromptError(f"{path} is damaged: its tensors do not match their digest. Save the adapter again.")
        return cls(path, tensors, values, kind)

    def write(self) -> None:
        """Writes the file."""
        facts = {
            "kind": self.kind,
            "schema": _SCHEMA,
            "version": __version__,
            "tensors_sha256": tensors_sha256(self.tensors),
        }
        save_state(self.path, self.tensors, {**facts, **self.values})

    def adapter(self, model: Model | nn.Module) -> PixelPrompt | WhiteBox:
        """Builds the adapter; see `load_adapter`."""
        try:
            return self.pixel_prompt(model) if "template" in self.values else self._white_box(model)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, PixpromptError):
                raise
            raise PromptError(f"{self.path} does not describe an adapter that fits the model ({error}).") from error

    def pixel_prompt(self, model: Any = None) -> PixelPrompt:
        """Builds the pixel prompt, in evaluation mode; without a model it can prompt images and nothing else."""
        values, about = self.values, self.values["template"]
        blend, place = dict(about["blend"]), about["params"].get("place")
        kind: Any = {"add": Add, "over": Over}[blend.pop("name")]
        template = make_template(
            about["name"],
            canvas_size=tuple(about["canvas_size"]),
            size=about["params"].get("size"),
            place=place and f"{place[0]},{place[1]}",
            blend=kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in blend.items()}),
        )
        output: OutputTransform = Direct(tuple(values["output"]["classes"]))
        if model is not None:
            output = output_from_json(values["output"], spec=model.spec)
        make = METHODS[values["method"]].maker()
        adapter: PixelPrompt = make(template, model, output, space=values["space"], **values["options"])
        adapter.load_state_dict(self.tensors)
        net = module_of(model)
        buffer = None if net is None else next(net.buffers(), None)
        return adapter.to("cpu" if buffer is None else buffer.device).eval()

    def _white_box(self, model: Model | nn.Module) -> WhiteBox:
        values = self.values
        adapter = make_white_box(values["method"], model, values["classes"], **values["options"])
        digest = adapter.backbone_sha256()
        if digest != values["backbone_sha256"]:
            raise PromptError(
                f"{self.path} was learned inside {values['model']} with backbone {values['backbone_sha256'][:12]}..., "
                f"but {adapter.model.spec.name} has other weights, backbone {digest[:12]}...: what was learned means "
                "nothing there. Give the model and the weights that it was learned for."
            )
        adapter.load_state_dict(self.tensors)
        return adapter.to(adapter.model.mean.device).eval()


def save_adapter(path: str | Path, adapter: BesideModel, **facts: Any) -> None:
    """Writes an adapter to a safetensors file, with further facts in JSON; see `BesideModel.save`."""
    if isinstance(adapter, PixelPrompt):
        method, options = adapter.recipe
        values: dict[str, Any] = {
            "method": method,
            "options": options,
            "template": _described(adapter.template),
            "space": adapter.space,
            "output": adapter.output.to_json(),
        }
    elif isinstance(adapter, WhiteBox) and adapter.recipe is not None:
        method, options = adapter.recipe
        digest = adapter.backbone_sha256()
        values = {"method": method, "options": options, "classes": adapter.output.classes, "backbone_sha256": digest}
    else:
        raise ConfigError(f"{type(adapter).__name__} was built by hand; make it with make_white_box to save it.")
    values = {"model": adapter.model.spec.name, **values, **facts}
    AdapterFile(Path(path), adapter.state_dict(), values).write()


def load_adapter(path: str | Path, model: Model | nn.Module) -> PixelPrompt | WhiteBox:
    """Reads what `adapter.save` wrote, beside a model; runs no code of the file.

    Args:
        model: The model that the adapter was learned for; a pixel prompt takes any with as many outputs.

    Returns:
        The adapter in evaluation mode, on the device of the model.

    Raises:
        AccessError: The adapter is a white-box one, and the model only answers.
        PromptError: The file is missing, damaged or foreign, or was learned beside another backbone.
    """
    return AdapterFile.read(path).adapter(model)


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
