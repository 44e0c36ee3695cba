"""The published MoCo v3 files, as their key names are; the weights themselves cannot be had here."""

from pathlib import Path

import pytest
import timm
import torch

from pixprompt.core import ModelError
from pixprompt.models.families.moco_v3 import load


@pytest.fixture(scope="module")
def encoder() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        net = timm.create_model("vit_base_patch16_224.mae", pretrained=False)
    generator = torch.Generator().manual_seed(0)
    return {name: 0.02 * torch.randn(tensor.shape, generator=generator) for name, tensor in net.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["module.base_encoder.", ""])
def test_both_published_forms_load(prefix, encoder, tmp_path: Path) -> None:
    tensors = {prefix + name: tensor for name, tensor in encoder.items()}
    if prefix:
        tensors |= {"module.momentum_encoder." + name: torch.zeros_like(tensor) for name, tensor in encoder.items()}
        tensors |= {"module.predictor.0.weight": torch.ones(2, 2), prefix + "head.0.weight": torch.ones(2, 2)}
    else:
        tensors |= {"head.weight": torch.ones(1000, 768), "head.bias": torch.ones(1000)}
    path = tmp_path / "vit-b-300ep.pth.tar"
    torch.save({"state_dict": tensors}, path)
    model = load("vit_base", name="vit-b16-moco-v3", weights=path)
    assert model.spec.num_outputs == 768
    states = model.net.state_dict()
    assert all(torch.equal(states[name], tensor) for name, tensor in encoder.items())


def test_without_a_file_it_says_which() -> None:
    with pytest.raises(ModelError, match="--weights FILE"):
        load("vit_base", name="vit-b16-moco-v3")
