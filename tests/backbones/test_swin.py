"""The view of a Swin: its parts, composed, are the library's forward."""

import pytest
import torch
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import nn

from pixprompt.backbones.swin import Swin
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import TorchModel

from .swin_toy import MANY, ODD, ONE, pictures, seeded, swin


@pytest.mark.parametrize("size", [ONE, ODD, MANY])
def test_the_parts_composed_are_the_librarys_block(size) -> None:
    view = Swin(swin(size))
    view.net.double()
    shifted = 0
    for stage in view.stages:
        for block in stage.blocks:
            tokens = torch.randn(2, *block.size, stage.width, generator=seeded(), dtype=torch.float64)
            inner = tokens + block.join(block.mix(block.qkv(block.split(block.norm1(tokens)))))
            composed = inner + block.mlp(block.norm2(inner))
            torch.testing.assert_close(composed, block(tokens), rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(block.join(block.split(tokens)), tokens, rtol=0, atol=0)
            shifted += any(block.shift)
    assert shifted == (1 if size == ONE else 2)


@pytest.mark.parametrize("size", [ONE, ODD, MANY])
def test_features_are_what_the_models_own_classifier_sees(size) -> None:
    model = swin(size)
    view = Swin(model)
    images = pictures(2, size[0])
    features = view.features(view.embed(images))
    torch.testing.assert_close(model.net.head.fc(features), model(images), rtol=1e-4, atol=1e-4)
    assert features.shape == (2, view.width) == (2, 48)


def test_stages_and_pool_composed_are_the_features() -> None:
    view = Swin(swin(ODD))
    tokens = view.embed(pictures(2))
    expected = view.features(tokens)
    for stage in view.stages:
        whole, tokens = stage(tokens), stage.enter(tokens)
        for block in stage.blocks:
            tokens = block(tokens)
        torch.testing.assert_close(whole, tokens, rtol=0, atol=0)
    assert tokens.shape == (2, 7, 7, 48)
    torch.testing.assert_close(view.pool(tokens), expected, rtol=0, atol=0)


def test_without_bias_and_mask_a_block_is_another_one() -> None:  # negative control of the comparison above
    view = Swin(swin(ONE))
    block = view.stages[0].blocks[1]
    bias = block.bias()
    assert bias.shape == (4, 2, 49, 49)
    assert float(bias[0].detach().abs().max()) < 10  # the first window has no border inside it
    assert float(bias[3].detach().min()) < -90
    tokens = torch.randn(1, *block.size, 24, generator=seeded())
    windows = block.split(block.norm1(tokens))
    queries, keys, values = block.per_head(block.qkv(windows))
    mixed = nn.functional.scaled_dot_product_attention(queries, keys, values)
    bare = block.out(mixed.transpose(-3, -2).flatten(-2))
    assert float((bare - block.mix(block.qkv(windows))).abs().max()) > 0.01


def test_merging_one_token_is_merging_four_equal_ones() -> None:
    merge = Swin(swin()).stages[1].merge
    token = torch.randn(2, 1, 24, generator=seeded())
    grid = token.unsqueeze(1).expand(2, 2, 2, 24)
    torch.testing.assert_close(merge.single(token), merge(grid).flatten(1, 2))


def test_counts_and_parameters() -> None:
    view = Swin(swin())
    assert (view.depth, view.width, view.patch, view.num_patches) == (4, 48, (4, 4), 196)
    assert [stage.width for stage in view.stages] == [24, 48]
    counted = sum(parameter.numel() for parameter in view.parameters())
    whole = sum(parameter.numel() for parameter in view.net.parameters())
    assert whole - counted == 48 * 5 + 5


def test_other_models_are_refused_by_name() -> None:
    others = [
        nn.Flatten(),
        SwinTransformerV2(img_size=32, window_size=4, embed_dim=24, depths=(1,), num_heads=(2,)),
        swin(strict_img_size=False).net,
    ]
    for net in others:
        with pytest.raises(ConfigError, match=rf"thing is {type(net).__name__}; expected timm's SwinTransformer"):
            Swin(TorchModel(net, ModelSpec("thing", (56, 56), 5)))
