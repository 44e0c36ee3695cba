"""SA²VP on Swins: where the pathways meet, what the meeting leaves out, what is refused."""

import pytest
import torch
from torch.nn import functional as F

from pixprompt.adapters.sa2vp import SA2VPOptions
from pixprompt.adapters.sa2vp.swin import SwinLayer, SwinSA2VP
from pixprompt.backbones.swin import Swin
from pixprompt.core import ConfigError

from ..backbones.swin_toy import CLASSES, MANY, ODD, ONE, seeded, swin
from .sa2vp_stages_toy import model_of, sa2vp


@pytest.mark.parametrize("size", [ONE, ODD, MANY])
def test_the_two_halves_of_a_block_are_the_librarys_block(size) -> None:
    view = Swin(swin(size))
    view.net.double()
    for stage in view.stages:
        for block in stage.blocks:
            layer = SwinLayer(block)
            tokens = torch.randn(2, *block.size, stage.width, generator=seeded(), dtype=torch.float64)
            met = layer.start(tokens)
            torch.testing.assert_close(layer.finish(met), block(tokens), rtol=1e-10, atol=1e-10)
            # Out of the windows, shifted and filled up or not, every token is back at its place.
            expected = block.per_head(block.qkv(block.norm1(tokens)).flatten(1, 2))
            for part, own in zip((layer.queries(met), *layer.keys_and_values(met)), expected, strict=True):
                torch.testing.assert_close(part, own, rtol=1e-10, atol=1e-10)
            inside = F.scaled_dot_product_attention(*expected)
            assert layer.join(inside).shape == (2, block.size[0] * block.size[1], stage.width)


def test_the_pathways_meet_across_the_borders_of_shifted_windows() -> None:
    adapter = SwinSA2VP(swin(MANY, depths=(1, 3)), CLASSES, SA2VPOptions(bottleneck=0), generator=seeded()).eval()
    layer = adapter.layers[1]
    assert isinstance(layer, SwinLayer)
    assert (layer.block.size, layer.block.window, layer.block.shift) == ((8, 8), (4, 4), (2, 2))
    tokens = torch.randn(1, 8, 8, 48, generator=seeded())
    changed = tokens.clone()
    changed[0, 1, 5] = torch.randn(48, generator=seeded(1))  # its window ends below it and to its right
    met, other = layer.start(tokens), layer.start(changed)
    moved = (adapter.exchange(1, met, other) - adapter.exchange(1, met, met)).abs().sum(-1)[0] > 1e-3
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[:3, 4:7] = True
    assert torch.equal(moved, expected)


@pytest.mark.parametrize(
    ("depths", "chosen", "turns"),
    [
        ((2, 2), 1, (0,)),
        ((3, 2), 0, (0,)),
        ((2, 2, 2, 2), 2, (0,)),
        ((1, 1, 6, 1), 2, (0, 2, 4)),
        ((1, 4, 2, 4), 3, (0, 2)),
    ],
    ids=str,
)
def test_the_stage_of_interaction_has_most_blocks_and_is_the_third_if_it_can_be(depths, chosen: int, turns) -> None:
    model = swin((64, 4), depths=depths, embed_dim=8, num_heads=(1, 2, 2, 2)[: len(depths)])
    adapter = SwinSA2VP(model, CLASSES, SA2VPOptions(rank=2, bottleneck=2), generator=seeded()).eval()
    assert (adapter.stage_index, adapter.prompt_layers) == (chosen, turns)
    side, width = 16 // 2**chosen, 8 * 2**chosen
    assert adapter.shapes == ((16, 16, 8), *[(side, side, width)] * (len(turns) - 1))
    images = torch.rand(2, 3, 64, 64, generator=seeded())
    assert adapter(images).shape == (2, 3)
    assert adapter.states(images).layers == tuple(range(sum(depths[:chosen]), sum(depths[: chosen + 1])))


@pytest.mark.slow
def test_on_a_swin_b_it_has_the_shapes_and_turns_of_the_paper() -> None:
    model = swin((224, 7), embed_dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
    adapter = SwinSA2VP(model, CLASSES, SA2VPOptions(rank=8, bottleneck=8), generator=seeded())
    assert adapter.prompt_layers == (0, 6, 12)
    assert adapter.shapes == ((56, 56, 128), (14, 14, 512), (14, 14, 512))
    maps = 3136 * 8 + 8 * 128 + 128 + 2 * (196 * 8 + 8 * 512 + 512 + 512)
    adapters = 18 * (2 * 512 + 512 * 8 + 8 + 8 * 512 + 512)
    assert adapter.num_tuned == maps + adapters + 1024 * 3 + 3
    assert adapter.num_backbone == 86_743_224


def test_a_scaled_map_and_other_models_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"toy-swin is a Swin, whose windows .* map_scale must be 1, got 2"):
        sa2vp("swin", map_scale=2)
    with pytest.raises(ConfigError, match="expected timm's SwinTransformer"):
        SwinSA2VP(model_of("timm-resnet"), CLASSES, SA2VPOptions(), generator=seeded())
