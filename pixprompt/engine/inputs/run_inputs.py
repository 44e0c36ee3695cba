"""What a run starts from, checked: its configuration, its model and its data; of a remote model without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core import ConfigError, Model
from ...data import Data, load_data
from ...ledger import zero_shot
from ...outputs import words_for
from ...remote import endpoint_of
from ...search.vocabulary import read_vocabulary, widened_labels
from ..config.presets import learns_from_answers, resolve
from ..config.rules import check_settings
from ..config.train_config import TrainConfig
from ..result import cost
from .opening import Calls, is_remote, open_model

__all__ = ["RunInputs", "checked_model", "describe_labels", "open_inputs", "outline"]


@dataclass(frozen=True)
class RunInputs:
    """A configuration with every None filled in that the preset decides, and what it names.

    Attributes:
        words: What a zero-shot model is asked about besides the classes.
        mode: How the run learns: "gradients", "answers" or "views" (within a budget), or by a "grid search".
    """

    config: TrainConfig
    model: Model
    data: Data
    device: str | None
    words: tuple[str, ...]
    mode: str


def open_inputs(
    config: TrainConfig, *, model: Model | None = None, data: Data | None = None, pretrained: bool = True
) -> RunInputs:
    """Opens the model and the data of a run, and checks its settings.

    Args:
        config: What to open.
        model: Used instead of `config.model.name`.
        data: Used instead of `config.data.name`.
        pretrained: Whether the model needs its weights; a plan does not.

    Raises:
        AccessError: The model does not give what the method needs.
        ConfigError: The settings do not go together.
    """
    config = config.with_absolute_paths()
    if config.output.text_encoder and config.output.kind != "semantic":
        raise ConfigError("--text-encoder serves --output semantic only; a CLIP-like model brings its own.")
    if model is None:
        model, device = _open_named(config, pretrained)
    else:
        from .devices import device_of

        device = device_of(checked_model(model), config.model.device)
        config = config.with_values(model=model.spec.name, weights=None)
    by_answers = learns_from_answers(config, model)
    config = resolve(config, model.spec, by_answers=by_answers)
    check_settings(config, model, by_answers)
    if config.search.vocabulary is None and zero_shot(model):
        config = config.with_values(vocabulary="auto")
    if data is None:
        data = load_data(config.data.name, seed=config.seed, **config.data.subset)
    else:
        config = config.with_values(data=data.name)
        if data.seed not in (None, config.seed):
            raise ConfigError(
                f"the data was split with seed {data.seed}, the run has seed {config.seed}; give both the same, or a "
                "later evaluation would draw other splits and test on images that were trained on."
            )
    model, words = _name_labels(model, config.search.vocabulary, data_name=data.name, classes=data.classes)
    return RunInputs(config, model, data, device, words, _mode(config, by_answers))


def outline(config: TrainConfig, model: Model, data: Data, num_queries: int) -> dict[str, Any]:
    """Returns the configuration, the numbers of images, the cost of so many queries, and how a remote model is called.

    A remote model gets at least so many requests, since the last of a step are fewer.
    """
    facts = {
        "config": config.to_json(),
        "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "cost": cost(num_queries, config.search.price_per_1000),
    }
    endpoint = endpoint_of(model)
    if endpoint:
        facts["calls"] = {
            "first": "one image alone",
            "max_batch": endpoint.max_batch,
            "requests": min(num_queries, 1) + -(-max(0, num_queries - 1) // endpoint.max_batch),
            "seconds": None if not config.endpoint.rate else round(num_queries / config.endpoint.rate, 1),
        }
    return facts


def _open_named(config: TrainConfig, pretrained: bool) -> tuple[Model, str | None]:
    device = None
    if not is_remote(config.model.name):
        from .devices import pick_device

        device = pick_device(config.model.device)
    calls, weights = Calls.of(config), config.model.weights
    model = open_model(config.model.name, weights=weights, device=device or "cpu", calls=calls, pretrained=pretrained)
    return model, device


def checked_model(model: object) -> Model:
    """Returns a model that a caller brought.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(model, Model):
        return model
    raise ConfigError(
        f"expected a model, got {type(model).__name__}: pixprompt.as_model(it, image_size=...) makes one of a "
        "net or a function."
    )


def _mode(config: TrainConfig, by_answers: bool) -> str:
    if by_answers:
        return "answers" if config.search.views in (None, "none") else "views"
    return "grid search" if config.fit.grid_search else "gradients"


def _name_labels(
    model: Model, vocabulary: str | None, *, data_name: str, classes: Sequence[str]
) -> tuple[Model, tuple[str, ...]]:
    """Returns the model asked about labels of our choice, and the words among them that stand for no class.

    A model with labels of its own is returned as it is, with no words.

    Args:
        model: Any.
        vocabulary: "auto", "none" or a file; see `read_vocabulary`.
        data_name: Some data sets have words of their own for their classes.
        classes: K names; the labels that the model already has are taken for them where there are any.

    Raises:
        ConfigError: The classes are more than it can be asked about, or the vocabulary cannot be read.
    """
    any_labels = zero_shot(model)
    if any_labels is None:
        return model, ()
    own = tuple(dict.fromkeys(model.spec.labels or words_for(data_name, classes)))
    words = () if vocabulary in (None, "none") else read_vocabulary(vocabulary)
    labels = widened_labels(own, words, any_labels.max_labels)
    return any_labels.with_labels(labels), labels[len(own) :]


def describe_labels(model: Model, words: tuple[str, ...]) -> list[str]:
    """Returns what the user should know about the labels that a run asks about; nothing where they are the classes."""
    if not words:
        return []
    count = len(model.spec.labels or ())
    examples = ", ".join(words[:3])
    return [
        f"Each query asks about {count} labels: {count - len(words)} of the classes and {len(words)} further words "
        f"({examples}, ...; --vocabulary), which say more about an image at the same number of queries."
    ]
