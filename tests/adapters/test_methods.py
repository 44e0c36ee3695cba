"""What every `--method` says of itself, without importing torch, and that it is so."""

from __future__ import annotations

import pytest

from pixprompt.adapters import METHODS, Learning
from pixprompt.adapters.pixel import SPACES
from pixprompt.adapters.sa2vp import ACTIVATIONS, NEW_MAPS
from pixprompt.adapters.vpt import ENDS, LAYOUTS, LOCATIONS, POOLS
from pixprompt.core import AnswerKind, ConfigError, ModelSpec
from pixprompt.engine import TrainConfig
from pixprompt.engine.config.groups import FitSettings, PromptSettings
from pixprompt.engine.config.presets import resolve
from pixprompt.engine.fit.gradients.losses import LOSSES


@pytest.mark.parametrize("name", METHODS.builtin())
def test_a_method_is_what_it_says(name: str) -> None:
    method = METHODS[name]
    config = TrainConfig(method=name)
    assert (method.name, config.method) == (name, method)
    assert method.file in ("prompt.png", "adapter.safetensors", None)
    assert method.file is None or callable(method.maker())
    for values in (method.defaults, method.answer_defaults, *method.presets.values()):
        assert config.with_values(**values).options() == config.options() | dict(values)
    assert TrainConfig.from_json(config.to_json(), source="x") == config


def test_the_choices_are_those_of_the_library() -> None:
    vpt, sa2vp = METHODS["vpt-deep"].settings.options(), METHODS["sa2vp-deep"].settings.options()
    assert vpt["location"].metadata["choices"] == (*LOCATIONS, "padding")  # of a ConvNet alone
    assert vpt["pool"].metadata["choices"] == POOLS
    assert vpt["depth_from"].metadata["choices"] == ENDS
    assert vpt["layout"].metadata["choices"] == LAYOUTS
    assert sa2vp["activation"].metadata["choices"] == ACTIVATIONS
    assert sa2vp["new_maps"].metadata["choices"] == NEW_MAPS
    assert PromptSettings.options()["space"].metadata["choices"] == SPACES
    assert FitSettings.options()["loss"].metadata["choices"] == LOSSES


@pytest.mark.parametrize("name", [name for name in METHODS.builtin() if METHODS[name].learning is Learning.ANSWERS])
def test_a_dual_encoder_is_read_by_its_texts(name: str) -> None:
    outputs = {
        kind: resolve(TrainConfig(method=name), ModelSpec("m", (8, 8), 4, kind), by_answers=True).output.kind
        for kind in (AnswerKind.EMBEDDINGS, AnswerKind.LOGITS)
    }
    assert outputs[AnswerKind.EMBEDDINGS] in ("text", "auto")
    assert name != "bar" or outputs[AnswerKind.LOGITS] == "frequency"  # as published


def test_a_name_of_another_method_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--tokens does nothing with method 'lora'; leave it out\. It takes: --rank"):
        TrainConfig(method="lora", tokens=3)
    assert TrainConfig(method="lora", tokens=None).adapter == TrainConfig(method="lora").adapter
    with pytest.raises(ConfigError, match=r"unknown setting 'tokns'\. Did you mean 'tokens'"):
        TrainConfig(method="vpt-deep", tokns=3)
