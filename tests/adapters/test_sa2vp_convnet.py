"""SA²VP on ConvNets: what speaks for queries, keys and values, smaller maps, and a real ResNet."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pixprompt.adapters.sa2vp import SA2VPOptions
from pixprompt.adapters.sa2vp.convnet import ConvNetSA2VP
from pixprompt.core import ConfigError
from pixprompt.models import load_model

from ..backbones.swin_toy import CLASSES, seeded
from .sa2vp_stages_toy import CONVNETS, enliven, model_of, pictures, reference, sa2vp


@pytest.mark.parametrize("kind", CONVNETS)
def test_the_pathways_meet_behind_each_block(kind: str) -> None:
    adapter = sa2vp(kind, depth=2)
    stage, (part,) = adapter.view.stages[adapter.stage_index], adapter.frozen(pictures(adapter, 2))
    layer = adapter.layers[0]
    met = layer.start(part)
    maps = stage.blocks[0](part.permute(0, 3, 1, 2))
    assert torch.equal(layer.finish(met), maps.permute(0, 2, 3, 1))
    keys, values = layer.keys_and_values(met)
    assert torch.equal(values[:, 0], maps.flatten(2).transpose(1, 2))
    torch.testing.assert_close(keys, F.layer_norm(values, values.shape[-1:]), rtol=1e-10, atol=1e-10)
    assert torch.equal(layer.queries(met), keys)
    assert torch.equal(layer.join(values), values[:, 0])


def test_equal_channels_at_all_places_make_attention_a_mean() -> None:
    adapter = sa2vp("timm-resnet", window=0, bottleneck=0)
    layer, (down, across, width) = adapter.layers[1], adapter.shapes[-1]
    tokens = torch.randn(1, 1, 1, width, generator=seeded(), dtype=torch.float64).expand(1, down, across, width)
    values = torch.randn(1, down, across, width, generator=seeded(1), dtype=torch.float64)
    met = layer.start(tokens.contiguous())
    same = type(met)(values, met.projected[:, :1, :1].expand(-1, down, across, -1))
    exchanged = adapter.exchange(1, same, same)
    torch.testing.assert_close(exchanged - values, values.mean((1, 2), keepdim=True).expand_as(values))


@pytest.mark.parametrize("window", [3, 0])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_smaller_map_meets_the_image_all_the_same(scale: int, window: int) -> None:
    adapter = sa2vp("timm-resnet", size=(64, 64), map_scale=scale, gamma=1.0, window=window)
    side = 4 // scale
    assert adapter.shapes == ((16 // scale, 16 // scale, 64), (side, side, 16))
    images = pictures(adapter, 2)
    outputs = adapter.features(adapter.frozen(images), both=True)
    alone = adapter.features(adapter.frozen(images[:1]), both=True)
    for whole, one in zip(outputs, alone, strict=True):
        assert whole.shape == (2, 24)
        torch.testing.assert_close(whole[:1], one, rtol=1e-10, atol=1e-10)
    if window == 0:
        for mine, theirs in zip(outputs, reference(adapter, images, {0, 2}), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
    states = adapter.states(images)
    assert states.grids == (((4, 4), (side, side)),) * 4
    assert states.prompts[1].shape == (2, side * side, 16)


def test_what_cannot_be_scaled_or_opened_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"16 x 12 behind the stem and 4 x 3 .* cannot both be scaled down by 2"):
        sa2vp("timm-resnet", map_scale=2)
    with pytest.raises(ConfigError, match=r"16 x 12 behind the stem .* scaled down by 5"):
        sa2vp("timm-resnet", map_scale=5)
    with pytest.raises(ConfigError, match=r"16 x 12 behind the stem .* scaled down by 100"):
        sa2vp("timm-resnet", map_scale=100)
    with pytest.raises(ConfigError, match="expected a ResNet or a ConvNeXt"):
        ConvNetSA2VP(model_of("swin"), CLASSES, SA2VPOptions(), generator=seeded())


def test_batch_norm_keeps_its_statistics_while_it_learns() -> None:
    adapter = sa2vp("timm-resnet", owned=False, double=False, lively=False, dropout=0.0).train()
    net = adapter.model.net.train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    images, labels = pictures(adapter, 6), torch.arange(6) % 3
    with torch.no_grad():
        adapter.head.last.weight.mul_(50)  # the head stays as it was drawn, and near 0 it would hear no prompt
    learned = [value for name, value in adapter.named_parameters() if not name.startswith("head")]
    optimizer, losses = torch.optim.AdamW(learned, lr=0.05), []
    parts = adapter.frozen(images)
    for _ in range(12):
        loss = sum(share * F.cross_entropy(logits, labels) for share, logits in adapter.supervised(parts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


@pytest.mark.assets
def test_a_real_resnet_with_gamma_zero_is_itself(assets) -> None:
    model = load_model("resnet18", weights=assets / "weights/resnet18.safetensors")

    def make(**options: object) -> ConvNetSA2VP:
        return ConvNetSA2VP(model, CLASSES, SA2VPOptions(**options), generator=seeded()).eval()

    images: Tensor = torch.rand(2, 3, 224, 224, generator=seeded())
    plain, adapter = make(gamma=0.0), make()
    assert plain.shapes == ((56, 56, 64),)
    assert (plain.stage_index, plain.prompt_layers) == (2, (0,))  # two blocks in every stage
    assert plain.frozen(images)[0].shape == (2, 28, 28, 128)
    (features,) = plain.features(plain.frozen(images), both=False)
    torch.testing.assert_close(model.net.fc(features), model(images), rtol=1e-4, atol=1e-4)
    enliven(adapter.adapters.named_parameters())
    moved, outputs = adapter.features(adapter.frozen(images), both=True)
    assert float((moved - features).abs().max().detach()) > 0.01
    assert float((outputs[0] - outputs[1]).abs().max().detach()) > 1e-4
    assert make(map_scale=2).shapes == ((28, 28, 64),)
