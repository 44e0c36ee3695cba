"""Tip-Adapter against its formula by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pixprompt.adapters import make_white_box
from pixprompt.adapters.clip.tip_adapter import ALPHAS, BETAS
from pixprompt.core import ConfigError, RangeError

from ..backbones.vit_toy import CLASSES, vit


def test_its_logits_by_hand() -> None:
    adapter = make_white_box("tip-adapter", vit("clip"), ("a", "b"), alpha=2.0, beta=3.0)
    x, y = torch.eye(6)[0], torch.eye(6)[1]
    adapter.start((torch.stack([x, y, (x + y) / math.sqrt(2)]),), torch.tensor([0, 1, 1]))
    adapter.words = torch.stack([5 * x, 7 * y])
    # affinities of x: 1, 0, 1/sqrt(2); its similarities to the texts, times the scale: 5 and 0
    expected = [2 * 1 + 5, 2 * (math.exp(-3) + math.exp(-3 * (1 - 1 / math.sqrt(2)))) + 0]
    torch.testing.assert_close(adapter.tuned((x[None],)), torch.tensor([expected]))


def test_training_moves_the_keys_alone_and_the_rest_is_chosen_on_validation_images() -> None:
    features = torch.nn.functional.normalize(torch.randn(40, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    labels = torch.arange(40) % 3
    adapter = make_white_box("tip-adapter-f", vit(), CLASSES)
    adapter.start((features[:30],), labels[:30])
    assert [name for name, _ in adapter.named_parameters()] == ["keys"]
    torch.testing.assert_close(adapter.keys, features[:30])
    adapter.choose((features[30:],), labels[30:])
    affinity, values = features[30:] @ features[:30].T, torch.eye(3)[labels[:30]]
    right = {
        (beta, alpha): int(((alpha * torch.exp(-beta * (1 - affinity)) @ values).argmax(1) == labels[30:]).sum())
        for beta in BETAS
        for alpha in ALPHAS
    }
    beta, alpha = max(right, key=right.__getitem__)  # the first of equals
    assert (adapter.beta.item(), adapter.alpha.item()) == pytest.approx((beta, alpha))
    assert (BETAS[-1], ALPHAS[19], ALPHAS[-1]) == pytest.approx((7 - 6.9 / 200, 3 - 2.9 / 20, 50 - 49.9 / 20))
    fixed = make_white_box("tip-adapter", vit(), CLASSES, beta=2.0)
    fixed.start((features[:30],), labels[:30])
    fixed.choose((features[30:],), labels[30:])
    assert fixed.beta.item() == 2.0
    with pytest.raises(RangeError, match="at least 0"):
        make_white_box("tip-adapter", vit(), CLASSES, alpha=-1.0)
    with pytest.raises(ConfigError, match="take fewer: --shots"):
        fixed.start((), labels)
