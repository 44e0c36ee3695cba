"""What holds for every baseline: where it starts, what moves, what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pixprompt.adapters import make_white_box
from pixprompt.adapters.baselines.base import Baseline
from pixprompt.backbones.features import features
from pixprompt.core import ConfigError, UnknownName

from .baseline_toy import (
    CLASSES,
    LAYER_METHODS,
    METHODS,
    NETS,
    VITS,
    make,
    model_of,
    pictures,
    seeded,
    sharpened,
    step,
    trace,
)

EVERY = [(method, net) for method in METHODS for net in (VITS if method in LAYER_METHODS else sorted(NETS))]
EVERY = [pair for pair in EVERY if pair[1] != "torchvision-resnet" or pair[0] in ("linear", "full")]  # a large net


def one_of(number: int, method: str) -> tuple[str, str]:
    pairs = [pair for pair in EVERY if pair[0] == method]
    return pairs[number % len(pairs)]


FEW = {("full", "torchvision-resnet"), *(one_of(number, method) for number, method in enumerate(METHODS))}
"""Every method once, with nets in turn."""
FEW_QUICKLY = pytest.mark.parametrize(
    ("method", "net"), [pytest.param(*pair, marks=[] if pair in FEW else pytest.mark.slow) for pair in EVERY]
)


@pytest.mark.parametrize(("method", "net"), [pair for pair in EVERY if pair[0] not in ("side", "ssf")])
def test_it_starts_at_the_frozen_features_and_its_head(method: str, net: str) -> None:
    model = model_of(net)
    adapter = sharpened(make(method, model)).eval()
    expected = adapter.head(features(model, pictures()))
    torch.testing.assert_close(adapter(pictures()), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, adapter.head(features(model, pictures(seed=2))), atol=1e-2)  # images matter


@pytest.mark.parametrize(("method", "net"), EVERY)
def test_after_two_steps_every_learned_tensor_has_moved_and_the_backbone_has_not(method: str, net: str) -> None:
    model = model_of(net)
    before = list(trace(model))
    adapter = make(method, model)
    start = {name: value.detach().clone() for name, value in adapter.named_parameters()}
    step(adapter, 2)
    still = [name for name, value in adapter.named_parameters() if torch.equal(value, start[name])]
    assert still == []
    assert all(value.isfinite().all() for value in adapter.parameters())
    assert list(trace(model)) == before


@pytest.mark.parametrize("method", ["linear", "partial", "full", "bias", "ssf", "side", *LAYER_METHODS])
def test_the_net_of_a_caller_is_held_while_it_is_used(method: str) -> None:
    """In training mode, with dropout and parameters that want gradients: answers as of a settled net, no trace."""
    model = model_of("timm-vit", owned=False)
    model.net.train()
    before = list(trace(model))
    assert any(value.requires_grad for value in model.net.parameters())
    adapter = make(method, model)
    torch.testing.assert_close(
        adapter(pictures()), make(method, model_of("timm-vit"))(pictures()), rtol=1e-4, atol=1e-5
    )
    step(adapter, 1)
    assert list(trace(model)) == before


@FEW_QUICKLY
def test_an_image_is_answered_alike_alone_and_in_a_batch(method: str, net: str) -> None:
    adapter = make(method, model_of(net))
    step(adapter, 1)
    adapter.eval()
    images = pictures(4)
    with torch.no_grad():
        together, alone = adapter(images), torch.cat([adapter(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@FEW_QUICKLY
def test_the_state_is_what_is_learned_and_restores_it(method: str, net: str) -> None:
    model = model_of(net)
    adapter = make(method, model)
    step(adapter, 1)
    state = adapter.eval().state_dict()
    learned = {name for name, _ in adapter.named_parameters()}
    assert learned <= set(state)
    assert all(".norms." in name for name in set(state) - learned)  # statistics of an MLP head
    again = make_white_box(
        method, model, CLASSES, bottleneck=6 if method == "adaptformer" else None, generator=seeded(8)
    )
    again.load_state_dict(state)
    assert torch.equal(again.eval()(pictures()), adapter(pictures()))


@FEW_QUICKLY
def test_the_counts_are_the_sizes(method: str, net: str) -> None:
    model = model_of(net)
    adapter = make(method, model)
    assert adapter.num_tuned == sum(value.numel() for value in adapter.parameters())
    assert adapter.share == adapter.num_tuned / adapter.num_backbone
    ids = {id(value) for value in model.net.parameters()}
    assert all(id(value) in ids for value in adapter.backbone_parameters())
    assert not ids & {id(value) for value in adapter.parameters()}


@pytest.mark.parametrize("method", LAYER_METHODS)
@pytest.mark.parametrize("net", sorted(set(NETS) - set(VITS)))
def test_methods_of_layers_want_a_vision_transformer(method: str, net: str) -> None:
    with pytest.raises(ConfigError, match="expected a vision transformer"):
        make(method, model_of(net))


def test_options_of_other_methods_are_refused() -> None:
    model = model_of("timm-vit")
    with pytest.raises(ConfigError, match=r"linear has no option 'rank'; it takes none\. Leave it out\."):
        make("linear", model, rank=4)
    with pytest.raises(ConfigError, match="lora has no option 'layers'; it takes rank"):
        make("lora", model, layers=4)
    with pytest.raises(UnknownName, match="Did you mean 'lora'"):
        make("lorra", model)


@pytest.mark.parametrize(
    ("method", "option", "value", "message"),
    [
        ("lora", "rank", 25, r"rank must lie in 1\.\.24.* got 25"),
        ("lora", "rank", 0, r"rank must lie in 1\.\.24.* got 0"),
        ("adapter", "reduction", 25, r"1 to 24 features.* got 0"),
        ("adapter", "reduction", 0, "reduction must be at least 1, got 0"),
        ("adaptformer", "bottleneck", 25, r"1 to 24 features.* got 25"),
        ("partial", "layers", 4, "has 3 layers"),
        ("partial", "layers", 0, "layers must be at least 1, got 0"),
        ("mlp", "layers", 0, "layers must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_refused(method: str, option: str, value: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(method, model_of("timm-vit"), **{option: value})


@pytest.mark.parametrize("method", METHODS)
def test_the_same_generator_makes_the_same_adapter(method: str) -> None:
    model = model_of("timm-vit")
    first, second = make(method, model), make(method, model)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    torch.rand(3)  # a foreign draw from the global generator changes nothing
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), make(method, model).parameters(), strict=True))


def weight_gradients(output: torch.Tensor) -> set[int]:
    """Tensors that the graph of an output would give gradients to, by identity."""
    calls, result, todo = set(), set(), [output.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in calls:
            continue
        calls.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            result.add(id(variable))
        todo += [following for following, _ in node.next_functions]
    return result


@FEW_QUICKLY
def test_the_graph_ends_in_what_is_learned_and_nowhere_else(method: str, net: str) -> None:
    model = model_of(net)
    adapter = make(method, model)
    parts = adapter.frozen(pictures())
    assert not any(part.requires_grad for part in parts)
    loss = adapter.tuned(parts, generator=seeded(3)).sum()
    assert weight_gradients(loss) == {id(value) for value in adapter.parameters()}
    control = F.linear(torch.ones(1, 2), nn.Parameter(torch.ones(3, 2))).sum()
    assert len(weight_gradients(control)) == 1  # the walk sees a weight


@pytest.mark.parametrize("method", METHODS)
def test_what_the_frozen_part_made_is_enough(method: str) -> None:
    adapter = make(method, model_of("timm-vit")).eval()
    parts = tuple(part.clone() for part in adapter.frozen(pictures()))
    assert torch.equal(adapter.tuned(parts), adapter(pictures()))
    images_alone = method in ("full", "bias", "ssf")
    assert (parts[0].shape == pictures().shape) == images_alone


def test_a_baseline_is_abstract() -> None:
    assert Baseline.__abstractmethods__ == {"features"}
