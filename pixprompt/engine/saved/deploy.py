"""Using a saved prompt: loading it with its model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, overload

from ... import remote
from ...adapters import ADAPTER_FILE
from ...core import AnswerKind, ConfigError, Model, OutputTransform, PromptError
from ...ledger.querier import Canvases, Querier, Rows, open_vocabulary, zero_shot
from ...outputs.cascade import SavedCascade, SavedReader
from ...outputs.saved import SavedOutput
from ...prompt import Committee, load_committee
from ...replies import OTHER
from ..config.train_config import TrainConfig
from ..inputs.opening import Calls, is_remote, open_querier
from .prediction import Picture, Prediction, predictions
from .saved_prompt import SavedPrompt, plain_canvas, unprompted
from .source import Source

if TYPE_CHECKING:
    from .student import Student

__all__ = ["Deployed", "deploy"]


@dataclass(frozen=True)
class TensorReader:
    """An output transform of torch for answers in numpy.

    Args:
        output: On the device.
    """

    output: OutputTransform
    device: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names of the user."""
        return self.output.classes

    @property
    def kind(self) -> str:
        """Of the output transform."""
        return self.output.kind

    def __call__(self, outputs: Rows) -> Rows:
        """Turns answers (N, V * S) into logits (N, K)."""
        import torch

        with torch.no_grad():
            return self.output(torch.from_numpy(outputs).to(self.device)).float().cpu().numpy()

    def to_tensors(self, device: str) -> OutputTransform:
        """Returns the output transform."""
        return self.output.to(device)


@dataclass(frozen=True)
class Deployed:
    """A saved prompt with the model that it is for and the transform of its answers: images in, labels out.

    Calls may come from several threads; one at a time queries the model. A context manager closes it at its end.

    Attributes:
        prompt: Its pages are laid on every image, each for a query of its own.
        model: Queries the model; a remote one has a ledger, which `close` closes.
        reader: Turns answers (N, V * S) into logits (N, K).
        student: Answers first where it is sure; None for none.
    """

    prompt: SavedPrompt
    model: Querier
    reader: SavedReader
    config: TrainConfig | None
    device: str
    student: Student | None = None
    _turn: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @overload
    def __call__(self, pictures: Picture) -> Prediction: ...

    @overload
    def __call__(self, pictures: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    def __call__(self, pictures: Picture | list[Any] | tuple[Any, ...]) -> Prediction | list[Prediction]:
        """Reads the label off one image, or off each of a list or tuple.

        Args:
            pictures: PIL images, paths, bytes of image files, or uint8 arrays (H, W, 3).

        Raises:
            BudgetError: A remote model would have to be queried more than the budget allows.
            EndpointError: It refuses an image, or does not answer.
            ImageError: An image cannot be read.
        """
        with self._turn:
            if isinstance(pictures, list | tuple):
                return predictions(self, self.prompt.pages, self.classes, pictures, self.model.chunk)
            return predictions(self, self.prompt.pages, self.classes, [pictures], self.model.chunk)[0]

    async def answer(self, pictures: Any) -> Any:
        """Awaits what a call returns, without holding up the event loop."""
        return await asyncio.to_thread(self, pictures)

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names of the user."""
        return self.reader.classes

    @property
    def cascade(self) -> SavedCascade | None:
        """Which images are asked under the further pages; None for all."""
        return self.reader if isinstance(self.reader, SavedCascade) else None

    @cached_property
    def output(self) -> OutputTransform:
        """The reader for tensors, on the device."""
        return self.reader.to_tensors(self.device)

    def without_prompt(self) -> Deployed:
        """Returns the same model, read by the same output transform, for images as the model takes them itself.

        Raises:
            ConfigError: There is no prompt to leave out, answers under several pages are read together, or a student
                is to answer first.
        """
        if self.student is not None:
            raise ConfigError("without the prompt the model is asked about every image; leave out --student-first.")
        if self.prompt.is_empty or len(self.prompt.pages) > 1:
            what = "the model is asked without one anyway" if self.prompt.is_empty else "its views are read together"
            raise ConfigError(f"there is no prompt that could be left out: {what}.")
        canvas = plain_canvas(self.prompt, self.model.spec, self.config)
        return replace(self, prompt=unprompted(self.prompt, canvas))

    def query(self, canvases: Canvases) -> Rows:
        """Queries the model about prompted canvases; see `Querier.query_pixels`."""
        with self._reproducible():
            return self.model.query_pixels(canvases, self.device)

    def query_each(self, canvases: Canvases) -> tuple[Rows, dict[int, str]]:
        """Queries the model about prompted canvases; see `Querier.query_pixels_each`."""
        with self._reproducible():
            return self.model.query_pixels_each(canvases, self.device)

    def _reproducible(self) -> AbstractContextManager[None]:
        """Returns a context in which a GPU repeats itself; without one, torch is not needed."""
        if self.device == "cpu":
            return nullcontext()
        from ..answers import reproducible

        return reproducible()

    def close(self) -> None:
        """Closes the ledger of a remote model."""
        self.model.close()


def deploy(
    source: str | Path | Committee,
    *,
    model: str | Model | None = None,
    weights: str | None = None,
    device: str = "auto",
    calls: Calls | None = None,
    cascade: bool = True,
    student_first: bool = False,
) -> Deployed:
    """Loads a prompt and its model.

    Args:
        source: A prompt PNG, or what `load_committee` made of one; an adapter.safetensors, a run directory, or
            hf:OWNER/NAME[@REVISION] on a hub.
        model: A name, or a model; the one that the prompt was learned for by default.
        weights: Weights file of a model given by name.
        calls: How a remote model is called; with a run directory, as the run did by default.
        cascade: Whether the further pages of a committee are only asked where the first one leaves doubt, if its file
            has a threshold for that.
        student_first: Whether the student of the run answers where it is sure, and the model is asked about the rest.

    Raises:
        ConfigError: No model is named, and the file asks for Python code, or to send images somewhere.
        DoubtError: The ledger of a remote model holds requests in doubt, and nobody said what to do.
        PromptError: The prompt does not fit the model.
    """
    place = Source(Path("the prompt"), None) if isinstance(source, Committee) else Source.of(source)
    path, config = place.path, place.config
    if student_first and (config is None or config.search.student is None):
        raise ConfigError(f"{path} has no student; learn one in a run by answers: pixprompt train --student MODEL.")
    if config.method.white_box if config is not None else path.suffix == ".safetensors":
        if not cascade:
            raise ConfigError(f"{path} has no cascade: it asks about every image once anyway.")
        return _deploy_adapter(place, model, weights, device, calls)
    prompt, attach = (source, _ignore) if isinstance(source, Committee) else _load_prompt(place, device)
    target = device
    if model is None or isinstance(model, str):
        device = _device(device, model or (config.model.name if config else prompt.model))
        if config is not None and model is None:
            calls = (calls or Calls()).over(replace(Calls.of(config), ledger=path / "ledger.sqlite"))
        model = place.open_model(
            prompt.model, prompt.weights_sha256, name=model, weights=weights, device=device, calls=calls
        )
    else:
        device = _device_of(model, device)
    attach(model)
    model = _name_labels(model, prompt.output)
    reader = _reader_of(path, prompt, model, device, cascade)
    student = None
    if student_first and config is not None:
        from .student import Student

        student = Student.load(path, config, device=_local_device(target))
    return Deployed(prompt, open_querier(model, calls or Calls()), reader, config, device, student)


def _load_prompt(place: Source, device: str) -> tuple[SavedPrompt, Callable[[Model], None]]:
    """Returns the prompt of a file or a run, and what takes the model once it is there."""
    config = place.config
    if config is None or not config.method.per_image or not (place.path / ADAPTER_FILE).exists():
        return load_committee(place.file("prompt.png")), _ignore
    from ..inputs.devices import pick_device
    from .per_image_prompt import load_per_image

    prompt = load_per_image(place.path, device=pick_device(device))
    return prompt, prompt.attach or _ignore


def _ignore(model: Model) -> None:
    """Does nothing: most prompts are chosen without a model."""


def _reader_of(path: Path, prompt: SavedPrompt, model: Model, device: str, cascade: bool) -> SavedReader:
    """Returns what reads the answers of a model under the prompt.

    Raises:
        PromptError: The prompt does not fit the model.
    """
    height, width = prompt.pages[0].canvas.size
    if model.spec.image_size != (height, width):
        raise PromptError(
            f"the prompt is made for canvases of {height}x{width} pixels, but {model.spec.name} takes "
            f"{model.spec.image_size[0]}x{model.spec.image_size[1]}. Learn one for this model."
        )
    if not prompt.output:
        raise PromptError(f"{path}: the prompt does not say how answers become labels; it can only be applied.")
    _assume(model, prompt.output)
    reader, views = _read(prompt.output, model, device), prompt.output.get("views", 1)
    if views != len(prompt.pages):
        raise PromptError(
            f"{path} holds {len(prompt.pages)} prompts, but its output transform reads {views} answers about "
            "each image; one of the two was exchanged."
        )
    saved = prompt.cascade if isinstance(prompt, Committee) else {}
    if not cascade and not saved:
        raise ConfigError(f"{path} has no cascade: every image is asked under all its views anyway.")
    return _cascade_of(path, saved, reader, model, device, views) if cascade and saved else reader


def _cascade_of(
    path: Path, saved: dict[str, Any], full: SavedReader, model: Model, device: str, num_views: int
) -> SavedCascade:
    try:
        output, threshold = saved["output"], float(saved["threshold"])
        first = _read(output, model, device)
        if output.get("views", 1) != 1 or tuple(first.classes) != tuple(full.classes):
            raise ValueError("its output transform is not of the first page and the same classes")
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"{path}: the cascade of the prompt file cannot be used: {error}.") from error
    return SavedCascade(first, full, num_views, threshold)


def _read(output: dict[str, Any], model: Model, device: str) -> SavedOutput | TensorReader:
    if remote.endpoint_of(model):
        return SavedOutput(output, model.spec)
    from ...outputs import output_from_json

    return TensorReader(output_from_json(output, spec=model.spec).to(device), device)


def _local_device(name: str) -> str:
    from ..inputs.devices import pick_device

    return pick_device(name)


def _device(name: str, model: str) -> str:
    """Returns where a named model works; one behind a URL needs no torch to know."""
    return "cpu" if is_remote(model) else _local_device(name)


def _device_of(model: Model, name: str) -> str:
    if remote.endpoint_of(model):
        return "cpu"
    from ..inputs.devices import device_of

    return device_of(model, name)


def _name_labels(model: Model, output: dict[str, Any]) -> Model:
    """Returns a zero-shot model asked about the labels that the prompt was learned with; others as they are.

    Raises:
        PromptError: They are more than it can be asked about.
    """
    labels = [label for label in output.get("labels", ()) if label != OTHER]
    any_labels = zero_shot(model)
    if not labels or any_labels is None:
        return model
    if any_labels.max_labels < len(labels):
        raise PromptError(
            f"the prompt was learned with answers about {len(labels)} labels; {model.spec.name} answers about "
            f"{any_labels.max_labels} at a time."
        )
    return any_labels.with_labels(labels)


def _assume(model: Model, output: dict[str, Any]) -> None:
    """Tells a model that does not know its outputs what they were when the prompt was learned."""
    vocabulary = open_vocabulary(model)
    if vocabulary is None:
        return
    try:
        vocabulary.assume(int(output["num_outputs"]), AnswerKind(output["answer"]))
        if output.get("labels"):
            vocabulary.restore(output["labels"], closed=True)
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"the output transform of the prompt file cannot be used: {error}.") from error


def _deploy_adapter(
    source: Source, model: str | Model | None, weights: str | None, device: str, calls: Calls | None
) -> Deployed:
    """Loads an adapter onto the backbone that it was learned in."""
    from ...adapters import AdapterFile, WhiteBox
    from ...models import DirectQuerier
    from ..inputs.devices import device_of, pick_device
    from .adapted_model import AdaptedModel, prompt_of

    file = AdapterFile.read(source.file(ADAPTER_FILE))
    if "spec" in file.values:
        raise PromptError(f"{file.path} holds a prompt for each image, which needs the run that learned it.")
    if model is None or isinstance(model, str):
        learned_for, digest = str(file.values.get("model", "")), str(file.values.get("weights_sha256", ""))
        device = pick_device(device)
        model = source.open_model(learned_for, digest, name=model, weights=weights, device=device, calls=calls)
    place, adapter = device_of(model, device), file.adapter(model)
    if not isinstance(adapter, WhiteBox):
        raise PromptError(f"{file.path} holds a pixel prompt that was saved by hand; use pixprompt.load_adapter.")
    prompt, reader = prompt_of(file, adapter.num_tuned), TensorReader(adapter.output, place)
    return Deployed(prompt, DirectQuerier(AdaptedModel(adapter)), reader, source.config, place)
