"""Whole runs of the pixel methods that need gradients: what they write can be scored, used and continued."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt import deploy, load_adapter, load_committee
from pixprompt.adapters import METHODS
from pixprompt.cli import main
from pixprompt.core import Access, AccessError, PromptError
from pixprompt.engine import TrainConfig, evaluate, plan, train
from pixprompt.engine.parts import build
from pixprompt.engine.saved.per_image_prompt import load_per_image

from .toy import Closed, KillAfter, Killed, history, numbers

COMMON = {
    **{"model": "toy-net", "data": "toy", "epochs": 3, "batch_size": 16, "warmup": 2, "precision": "fp32"},
    **{"output": "frequency", "size": 4, "optimizer": "adam", "lr": 0.05},
}
NAMES = [name for name in METHODS.builtin() if METHODS[name].access is Access.GRADIENTS]


@pytest.fixture(params=NAMES)
def own(request: pytest.FixtureRequest) -> TrainConfig:
    lr = 0.05 if request.param == "smm" else 0.1  # three epochs of each are enough for a prompt that is kept
    return TrainConfig(method=request.param, **{**COMMON, "lr": lr})


def test_what_a_run_writes_is_what_it_has_scored(own, model, data, wholes) -> None:
    folder, result = wholes(own, model=model, data=data)
    file = own.method.file or ""
    assert {"prompt.png", "adapter.safetensors"} & {path.name for path in folder.iterdir()} == {file}
    last = "prompt_png" if file == "prompt.png" else "prompt_float"
    again = evaluate(folder, model=model, data=data)
    assert again.accuracy["prompt_png"] == result.accuracy[last]
    assert result.best == "prompt"  # else all of this would be about an empty prompt
    planned = plan(build(own, model=model, data=data))
    assert result.parameters == planned["parameters"] == again.parameters
    assert result.queries["images"] == planned["queries"]["total"]
    pictures = [np.asarray(data.test.open(index)) for index in range(len(data.test))]
    with deploy(folder, model=model) as deployed:
        answers = deployed(pictures)
    hits = [data.classes[label] == answer.label for label, answer in zip(data.test.labels, answers, strict=True)]
    assert np.mean(hits) == result.accuracy[last].test


def test_apply_lays_each_image_under_its_own_prompt(model, data, wholes, tmp_path) -> None:
    """SMM's masks need no model, and a folder of images comes out as it was scored."""
    config = TrainConfig(method="smm", **COMMON)
    folder, result = wholes(config, model=model, data=data)
    for index in range(3):
        data.test.open(index).save(tmp_path / f"{index}.png")
    paths = [str(tmp_path / f"{index}.png") for index in range(3)]
    assert main(["apply", str(folder), *paths, "--out", str(tmp_path / "out")]) == 0
    prompt = load_per_image(folder, device="cpu")
    for index in range(3):
        with Image.open(tmp_path / f"out/{index}.png") as written:
            expected = prompt.overlay(prompt.canvas.make(data.test.open(index)))
            assert np.array_equal(np.asarray(written), expected)
            assert not np.array_equal(expected, np.asarray(data.test.open(index)))
    assert result.best == "prompt"
    with pytest.raises(PromptError, match="another prompt for each image"):
        load_committee(folder / "prompt.png")


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(own, model, data, wholes, tmp_path) -> None:
    folder, result = wholes(own, model=model, data=data)
    with pytest.raises(Killed):
        train(own, out=tmp_path / "run", model=model, data=data, reporter=KillAfter(130, "train"))
    resumed = train(own, out=tmp_path / "run", model=model, data=data, resume=True)
    assert numbers(resumed) == numbers(result)
    assert history(tmp_path / "run") == history(folder)


def test_a_model_that_only_answers_is_refused(own, model, data) -> None:
    with pytest.raises(AccessError, match="GRADIENTS access"):
        build(own, model=Closed(model), data=data)


def test_a_saved_adapter_answers_alike(own, model, data, tmp_path) -> None:
    from pixprompt.engine.fit.gradients.adapter_fit import new_prompt

    parts = build(own.with_values(output="first-k"), model=model, data=data)
    adapter = new_prompt(parts, parts.output()).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    adapter.save(tmp_path / "adapter.safetensors")
    again = load_adapter(tmp_path / "adapter.safetensors", model)
    images = torch.randint(0, 256, (5, 3, 16, 16), generator=generator) / 255
    assert type(again) is type(adapter)
    assert torch.equal(again(images), adapter(images))
