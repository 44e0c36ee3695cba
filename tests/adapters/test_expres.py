"""EXPRES against the layers of the library with residuals added to what their modules return."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters import make_vpt, make_white_box
from pixprompt.adapters.vpt.expres import EXPRES
from pixprompt.core import ConfigError

from ..backbones.vit_toy import CLASSES, DEPTH, WIDTH, vit


def pictures() -> Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def make(**options: object) -> EXPRES:
    adapter = make_white_box("expres", vit(), CLASSES, tokens=4, **options)
    assert isinstance(adapter, EXPRES)
    return adapter.eval()


def test_it_starts_as_shallow_prompts_that_are_pooled() -> None:
    adapter = make()
    shallow = make_vpt(vit(), CLASSES, deep=False, tokens=4, pool="prompt").eval()
    shallow.load_state_dict({"prompts.sets.tokens": adapter.tokens[None], **head(adapter)})
    torch.testing.assert_close(adapter(pictures()), shallow(pictures()), rtol=1e-4, atol=1e-5)
    assert adapter.num_tuned == 4 * WIDTH + DEPTH * 4 * 5 * WIDTH + 3 * WIDTH + 3


def head(adapter: EXPRES) -> dict[str, Tensor]:
    return {name: value for name, value in adapter.state_dict().items() if name.startswith("head.")}


def test_residuals_are_added_to_what_the_modules_return() -> None:
    adapter = make()
    with torch.no_grad():
        adapter.residuals.copy_(torch.randn(adapter.residuals.shape, generator=torch.Generator().manual_seed(2)))
    net = adapter.model.net
    tokens = torch.cat([adapter.tokens.expand(3, -1, -1), adapter.view.embed(pictures())], 1)
    for block, (norm, qkv, projection) in zip(
        net.blocks, (each.split([WIDTH, 3 * WIDTH, WIDTH], 1) for each in adapter.residuals), strict=True
    ):
        handles = [
            module.register_forward_hook(plus(residual))
            for module, residual in ((block.norm1, norm), (block.attn.qkv, qkv), (block.attn.proj, projection))
        ]
        tokens = block(tokens)
        for handle in handles:
            handle.remove()
    expected = adapter.head(net.norm(tokens)[:, :4].mean(1))
    torch.testing.assert_close(adapter(pictures()), expected, rtol=1e-4, atol=1e-4)


def plus(residual: Tensor):
    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return torch.cat([output[:, :4] + residual, output[:, 4:]], 1)

    return hook


def test_a_head_without_tokens_has_nothing_to_read() -> None:
    with pytest.raises(ConfigError, match="1 or more output tokens"):
        make_white_box("expres", vit(), CLASSES, tokens=0)
