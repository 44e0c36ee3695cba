"""E²VPT: attention to its keys and values by hand, what it prunes, and that it is trained again from its start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import pixprompt
from pixprompt.adapters import make_white_box
from pixprompt.adapters.vpt.e2vpt import E2VPT
from pixprompt.core import RangeError

from ..backbones.vit_toy import CLASSES, DEPTH, WIDTH, vit


def make(**options: object) -> E2VPT:
    adapter = make_white_box("e2vpt", vit(), CLASSES, **{"tokens": 4, "key_values": 2, "segments": 6} | options)
    assert isinstance(adapter, E2VPT)
    return adapter.eval()


def pictures() -> Tensor:
    return torch.randint(0, 256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 255


def by_hand(adapter: E2VPT, images: Tensor) -> Tensor:
    """[CLS, prompts, patches] through layers whose softmax runs over the keys of the tokens and those learned."""
    view, pairs, tokens = adapter.view, adapter.prompts.pairs, adapter.view.embed(images)
    for layer, prompts, pair in zip(view.layers, adapter.prompts.sets.tokens, pairs, strict=True):
        tokens = torch.cat([tokens[:, :1], prompts.expand(len(images), -1, -1), tokens[:, -4:]], 1)
        queries, keys, values = layer.split(layer.qkv(layer.norm1(tokens)))
        keys, values = (
            torch.cat([learned.expand(len(images), -1, -1, -1), own], 2)
            for learned, own in ((pair[0], keys), (pair[-1], values))
        )
        shares = (queries @ keys.transpose(2, 3) / keys.shape[-1] ** 0.5).softmax(3)
        tokens = tokens + layer.scale1(layer.join(shares @ values))
        tokens = tokens + layer.scale2(layer.mlp(layer.norm2(tokens)))
    return adapter.head(view.norm(tokens)[:, 0])


@pytest.mark.parametrize("separate", [False, True])
def test_its_logits_by_hand(separate: bool) -> None:
    adapter = make(separate=separate)
    torch.testing.assert_close(adapter(pictures()), by_hand(adapter, pictures()), rtol=1e-4, atol=1e-5)
    pairs = DEPTH * (2 if separate else 1) * 2 * WIDTH
    assert adapter.num_tuned == DEPTH * 4 * WIDTH + pairs + WIDTH * 3 + 3
    assert adapter.prompts.pairs.abs().max() <= (6 / (2 * WIDTH / 2)) ** 0.5


def test_it_prunes_what_the_loss_depends_on_least() -> None:
    adapter = make(prune_tokens=0.5, prune_segments=0.34)
    labels = torch.tensor([0, 1, 2] * 2)

    def loss() -> Tensor:
        return cross_entropy(adapter(pictures()), labels)

    (gradient,) = torch.autograd.grad(loss(), adapter.prompts.sets.tokens)
    mask, slopes = adapter.prompts.mask, torch.zeros(4, 6)
    whole = torch.zeros(4)
    step = 0.05
    with torch.no_grad():
        for token in range(4):
            for place in (*((token, segment) for segment in range(6)), (token,)):
                values = []
                for sign in (1, -1):
                    mask[place] += sign * step
                    values.append(loss().item())
                    mask[place] -= sign * step
                slope = abs(values[0] - values[1]) / 2 / step
                (whole if len(place) == 1 else slopes)[place] = slope
    mask.fill_(1)
    adapter.prune([gradient])
    left = whole.argsort()[2:].tolist()
    expected = torch.zeros(4, 6)
    for token in left:
        expected[token] = 1
        expected[token, slopes[token].argsort()[:2]] = 0
    assert torch.equal(mask, expected)
    assert adapter.num_tuned == make().num_tuned - DEPTH * (4 * WIDTH - 2 * 4 * WIDTH // 6)
    torch.testing.assert_close(adapter.prompts.channels(), expected.repeat_interleave(WIDTH // 6, 1))


def test_some_always_remains_and_shares_are_checked() -> None:
    adapter = make(prune_tokens=0.9, prune_segments=0.9, segments=6)
    adapter.prune([torch.ones_like(adapter.prompts.sets.tokens)])
    assert adapter.prompts.mask.sum(1).sort().values.tolist() == [0, 0, 0, 4]
    with pytest.raises(RangeError, match=r"\[0, 1\)"):
        make(prune_tokens=1.0)


def test_it_is_trained_again_from_its_start() -> None:
    start, adapter = make(), make(prune_tokens=0.5)
    split = (pictures(), np.arange(6) % 3)
    lines = pixprompt.fit(adapter, split, epochs=2, batch_size=3, lr=0.0).history
    assert len(lines) == 2
    assert adapter.prompts.mask.sum() == 2 * 6
    assert all(torch.equal(*pair) for pair in zip(adapter.parameters(), start.parameters(), strict=True))
    moved = make(prune_tokens=0.5)
    pixprompt.fit(moved, split, epochs=2, batch_size=3, lr=0.01)
    at, first = moved.prompts.sets.tokens, start.prompts.sets.tokens
    pruned = (moved.prompts.channels() == 0).expand_as(at)
    assert torch.equal(at[pruned], first[pruned])  # the first training has left no trace
    assert (at[~pruned] != first[~pruned]).all()
