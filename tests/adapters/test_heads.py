"""The classifier head: closed forms, its start, its dropout."""

import math

import pytest
import torch
from torch.nn import functional as F

from pixprompt.adapters.heads import ClassifierHead, drop, kaiming
from pixprompt.core import ConfigError, RangeError, ShapeError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(count: int = 6, width: int = 8) -> torch.Tensor:
    return torch.randn(count, width, generator=seeded(1))


@pytest.mark.parametrize(("hidden", "count"), [(0, 8 * 3 + 3), (1, 8 * 9 + 16 + 27), (3, 3 * (8 * 9 + 16) + 27)])
def test_counts_and_layers(hidden: int, count: int) -> None:
    head = ClassifierHead(8, 3, num_hidden=hidden, generator=seeded())
    assert sum(parameter.numel() for parameter in head.parameters()) == count
    expected = features()
    for layer, norm in zip(head.eval().layers, head.norms, strict=True):
        hidden_values = F.relu(expected @ layer.weight.T + layer.bias)
        expected = (hidden_values - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(head(features()), expected @ head.last.weight.T + head.last.bias)


def test_hidden_layers_learn_statistics_and_drop_in_training_only() -> None:
    head = ClassifierHead(8, 3, num_hidden=1, generator=seeded())
    hidden = F.relu(head.layers[0](features()))
    logits = head(features(), generator=seeded(2))
    torch.testing.assert_close(head.norms[0].running_mean, 0.1 * hidden.mean(0))
    torch.testing.assert_close(head.norms[0].running_var, 0.9 + 0.1 * hidden.var(0))
    normed = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    mask = drop(torch.ones(6, 8), 0.1, generator=seeded(2))
    torch.testing.assert_close(logits, head.last(normed * mask))
    assert not torch.allclose(logits, head.last(normed))  # negative control: without dropout
    assert torch.equal(head.eval()(features()), head(features(), generator=seeded(2)))
    assert {"norms.0.running_mean", "norms.0.running_var"} <= set(head.state_dict())


def test_starts_by_fan_out_and_near_0_and_by_its_generator_alone() -> None:
    torch.manual_seed(1)
    first = ClassifierHead(300, 100, num_hidden=1, generator=seeded())
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = ClassifierHead(300, 100, num_hidden=1, generator=seeded())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert float(first.last.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert float(first.layers[0].weight.detach().std()) == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    assert not first.last.bias.any()
    assert not torch.equal(kaiming(4, 4, generator=seeded(3)).weight, kaiming(4, 4, generator=seeded(4)).weight)


def test_a_constant_bias_changes_neither_loss_nor_gradients() -> None:
    """Why the public code's first bias of -log 99 is left out."""
    grads = []
    for bias in (0.0, -math.log(99)):
        head = ClassifierHead(8, 3, generator=seeded())
        torch.nn.init.constant_(head.last.bias, bias)
        F.cross_entropy(head(features()), torch.arange(6) % 3).backward()
        grads.append(torch.cat([parameter.grad.flatten() for parameter in head.parameters()]))
    torch.testing.assert_close(grads[0], grads[1], atol=1e-6, rtol=1e-5)


def test_dropout_keeps_the_mean_and_the_share() -> None:
    values = torch.ones(400, 100)
    dropped = drop(values, 0.3, generator=seeded())
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert drop(values, 0.0, generator=None) is values
    assert int(drop(values, 1 - 2**-20, generator=seeded()).count_nonzero()) < 10


def test_names_what_it_wants() -> None:
    with pytest.raises(ConfigError, match="0 or more hidden layers, got -1"):
        ClassifierHead(8, 3, num_hidden=-1, generator=seeded())
    head = ClassifierHead(8, 3, num_hidden=1, generator=seeded())
    with pytest.raises(ConfigError, match="needs a generator"):
        head(features())
    with pytest.raises(ShapeError, match="2 images or more"):
        head(features(1), generator=seeded())
    assert head.eval()(features(1)).shape == (1, 3)
    with pytest.raises(RangeError, match=r"\[0, 1\), got 1"):
        drop(features(), 1.0, generator=seeded())
