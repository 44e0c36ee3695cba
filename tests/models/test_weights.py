"""Weight files given by hand: every wrapping that people save, every mismatch named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pixprompt.core import ModelError
from pixprompt.models import load_model
from pixprompt.models.weights import load_weights, num_rows, read_weights


def make_net(outputs: int = 2) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, outputs))


WRAPPINGS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "module": lambda state: {f"module.{name}": value for name, value in state.items()},
    "nested": lambda state: {"state_dict": {f"module._orig_mod.{name}": value for name, value in state.items()}},
    "without counters": lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
    "half": lambda state: {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_torch_files(wrapping: str, tmp_path: Path) -> None:
    source, target = make_net(), make_net()
    nn.init.zeros_(target[3].weight)
    torch.save(WRAPPINGS[wrapping](source.state_dict()), tmp_path / "w.pt")
    load_weights(target, read_weights(tmp_path / "w.pt"), "w.pt")
    for name, value in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[name], value, rtol=1e-3, atol=1e-3)
    assert target[3].weight.dtype == torch.float32


def test_safetensors(tmp_path: Path) -> None:
    save_file(make_net().state_dict(), tmp_path / "w.safetensors")
    tensors = read_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(tensors[name], value) for name, value in make_net().state_dict().items())
    assert (num_rows(tensors, "3"), num_rows(tensors, "7")) == (2, None)


def test_a_mismatch_names_counts_keys_and_shapes_and_copies_nothing() -> None:
    tensors = make_net(5).state_dict()
    tensors["extra.weight"] = tensors.pop("0.weight")
    target = make_net()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ModelError) as error:
        load_weights(target, tensors, "w.pt")
    message = str(error.value)
    for part in (
        "1 missing (0.weight)",
        "1 unexpected (extra.weight)",
        "2 of another shape (3.weight (5, 4) instead of (2, 4)",
    ):
        assert part in message
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


class Stranger:
    """Unpickling this would run code of ours."""


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "pickled", "list", "numbers", "bad safetensors"])
def test_files_that_are_no_weights(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("w.safetensors" if kind == "bad safetensors" else "w.pt")
    contents = {"empty": b"", "text": b"hello", "bad safetensors": b"\x08\0\0\0\0\0\0\0notjson!"}
    objects = {"pickled": Stranger(), "list": [torch.zeros(1)], "numbers": {"weight": torch.zeros(1), "step": 3}}
    if kind in contents:
        path.write_bytes(contents[kind])
    if kind in objects:
        torch.save(objects[kind], path)
    with pytest.raises(ModelError, match=str(path)):
        read_weights(path)


@pytest.mark.parametrize("prefix", ["timm", "torchvision"])
def test_a_finetuned_head_is_followed(prefix: str, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    net = resnet18(num_classes=7)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "w.pt")
    model = load_model(f"{prefix}:resnet18", weights=tmp_path / "w.pt")
    assert (model.spec.num_outputs, model.spec.labels) == (7, None)
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images), net(model.normalize(images)), rtol=1e-3, atol=1e-4)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    torch.save(make_net().state_dict(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"do not fit the net.*missing \(conv1.weight"):
        load_model("torchvision:resnet18", weights=tmp_path / "w.pt")
