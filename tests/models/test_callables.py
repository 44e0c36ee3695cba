"""Any callable as a model: what one probing call finds out, and what goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pixprompt.core import Access, ConfigError, Model, ModelError, RangeError, ShapeError, UnknownName
from pixprompt.models import as_model, load_model

MODULE = """
import torch
from torch import nn

calls = []

def scores(images):
    calls.append((tuple(images.shape), float(images.detach().mean())))
    return images.mean((2, 3)) @ torch.ones(3, 4)

def numbers(images):
    return torch.from_numpy(images.numpy().mean((2, 3)))

def broken(images):
    raise ZeroDivisionError("no luck")

class Holder:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 10, 7))

constant = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scores.py").write_text(MODULE)
    (tmp_path / "own_failing.py").write_text("import nothing_of_the_kind\n")
    (tmp_path / "own_raising.py").write_text("raise RuntimeError('at import')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("own_scores", "own_failing", "own_raising"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_function_of_the_current_folder_is_probed_once() -> None:
    model = load_model("python:own_scores:scores@6x10")
    assert sys.modules["own_scores"].calls == [((1, 3, 6, 10), 0.5)]
    assert isinstance(model, Model)
    assert (model.spec.name, model.spec.image_size) == ("python:own_scores:scores@6x10", (6, 10))
    assert (model.spec.num_outputs, model.access) == (4, Access.GRADIENTS)
    images = torch.full((2, 3, 6, 10), 0.25, requires_grad=True)
    assert model(images).tolist() == [[0.75] * 4] * 2
    model(images).sum().backward()
    assert torch.allclose(images.grad, torch.full_like(images, 4 / 60))
    with pytest.raises(RangeError):
        model(torch.full((1, 3, 6, 10), 2.0))


@pytest.mark.parametrize(("suffix", "size"), [("", (224, 224)), ("@6", (6, 6))])
def test_image_sizes(suffix: str, size: tuple[int, int]) -> None:
    model = load_model(f"python:own_scores:scores{suffix}")
    assert model.spec.image_size == size
    with pytest.raises(ShapeError):
        model(torch.zeros(1, 3, 7, 7))


def test_a_function_that_leaves_torch_gives_scores_only() -> None:
    model = load_model("python:own_scores:numbers@6")
    assert (model.access, model.spec.num_outputs) == (Access.SCORES, 3)
    assert model(torch.ones(2, 3, 6, 6)).tolist() == [[1.0] * 3] * 2


def test_a_net_is_wrapped_and_left_alone() -> None:
    model = load_model("python:own_scores:Holder.net@6x10")
    net = sys.modules["own_scores"].Holder.net
    assert (model.access, model.spec.num_outputs) == (Access.INTERNALS, 7)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_probing_does_not_update_batch_norm() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    as_model(net, image_size=(4, 4))
    assert int(net[0].num_batches_tracked) == 0
    assert net.training


def test_what_is_a_model_already_is_used_as_it_is() -> None:
    model = as_model(lambda images: images.mean((2, 3)), image_size=(4, 4))
    assert as_model(model) is model


def test_normalisation_labels_and_name() -> None:
    calls = []

    def scores(images: Tensor) -> Tensor:
        calls.append(images.detach().clone())
        return images.mean((2, 3))

    model = as_model(
        scores, image_size=(4, 4), mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.1), labels=("r", "g", "b"), name="own"
    )
    assert (model.spec.name, model.spec.labels, model.spec.num_outputs) == ("own", ("r", "g", "b"), 3)
    model(torch.ones(1, 3, 4, 4))
    assert torch.equal(calls[0], torch.zeros(1, 3, 4, 4)), "the probe is grey, so it is 0 after this normalisation"
    assert calls[1].mean((2, 3)).tolist() == [pytest.approx([1.0, 2.0, 5.0])]


def test_detached_scores_have_no_gradients() -> None:
    assert as_model(lambda images: images.detach().mean((2, 3)), image_size=(4, 4)).access is Access.SCORES
    weight = torch.ones(3, 2, requires_grad=True)
    blind = as_model(lambda images: images.detach().mean((2, 3)) @ weight, image_size=(4, 4))
    assert blind.access is Access.SCORES, "gradients to something else than the images do not count"


@pytest.mark.parametrize(
    ("options", "reply", "error", "message"),
    [
        ({"labels": ("a", "b")}, lambda x: x.mean((2, 3)), ConfigError, "2 labels for 3 outputs"),
        ({"num_outputs": 4}, lambda x: x.mean((2, 3)), ModelError, r"\(1, 3\), expected \(1, 4\)"),
        ({}, lambda x: x.mean(), ModelError, r"a tensor \(\), expected \(1, S\)"),
        ({}, lambda x: x.mean((2, 3)) / 0, ModelError, "NaN or infinity"),
        ({}, lambda x: [1.0], ModelError, "returned list"),
    ],
)
def test_callables_that_do_not_fit(options, reply, error, message: str) -> None:
    with pytest.raises(error, match=message):
        as_model(reply, image_size=(4, 4), **options)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("python:own_score:scores", UnknownName, "no module 'own_score' in "),
        ("python:own_scores:score", UnknownName, "no attribute 'score'. Did you mean 'scores'?"),
        ("python:own_scores", ConfigError, "expected python:module:attribute"),
        ("python:own_scores:constant", ModelError, "is int, expected a callable"),
        ("python:own_scores:broken@4", ModelError, "ZeroDivisionError: no luck"),
        ("python:own_scores:Holder.net@4", ModelError, "Does it expect another size"),
        ("python:own_failing:f", ModelError, "nothing_of_the_kind"),
        ("python:own_raising:f", ModelError, "RuntimeError: at import"),
    ],
)
def test_names_that_lead_nowhere(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        load_model(name)
    assert message in str(caught.value)


def test_weights_do_not_go_with_callables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--weights does not go with python"):
        load_model("python:own_scores:scores", weights=tmp_path / "w.pt")
