"""VPT in training: what learns, what stays, where randomness comes from, what is kept."""

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters.heads import drop
from pixprompt.adapters.vpt import ViTVPT, VPTOptions
from pixprompt.models import TorchModel

from ..backbones.vit_toy import CLASSES, DEPTH, KINDS, WIDTH, pictures, seeded, timm_net, vit
from .vpt_reference import make, pooled, prepended

LOCATIONS = [
    ("prepend", {"depth": DEPTH, "projection": 4}),
    ("prepend", {"depth": 2, "depth_from": "top", "pool": "prompt"}),
    ("add", {"tokens": None, "depth": DEPTH}),
    ("add-one", {"tokens": None}),
    ("prepend-pixel", {}),
    ("concat-channel", {"tokens": 1}),
]


def fingerprint(model: TorchModel) -> list[object]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return [
        *((name, value.clone()) for name, value in model.net.state_dict().items()),
        *((name, value.requires_grad, value.grad is None) for name, value in model.net.named_parameters()),
        *((name, module.training, *(len(getattr(module, hook)) for hook in hooks)) for name, module in modules(model)),
    ]


def modules(model: TorchModel) -> list[tuple[str, nn.Module]]:
    return list(model.net.named_modules())


def equal(left: list[object], right: list[object]) -> bool:
    return len(left) == len(right) and all(
        all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in zip(a, b, strict=True))
        for a, b in zip(left, right, strict=True)
    )


def train(adapter: ViTVPT, steps: int = 3) -> list[float]:
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.05)
    adapter.train()
    losses = []
    for step in range(steps):
        loss = nn.functional.cross_entropy(
            adapter.outputs(pictures(6), generator=seeded(step)), torch.tensor([0, 1, 2, 0, 1, 2])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(("location", "options"), LOCATIONS)
@pytest.mark.parametrize("owned", [True, False])
def test_training_changes_what_is_learned_and_nothing_of_the_backbone(
    location: str, options: dict, owned: bool
) -> None:
    model = vit(owned=owned)
    if not owned:
        model.net.train()
    adapter = make(model, location=location, dropout=0.2, **options)
    before, start = fingerprint(model), {name: value.clone() for name, value in adapter.state_dict().items()}
    train(adapter, steps=4)
    assert equal(fingerprint(model), before)
    for name, value in adapter.named_parameters():
        assert not torch.equal(value, start[name]), name
    with torch.no_grad():
        model.net.norm.bias += 1
    assert not equal(fingerprint(model), before)  # negative control


@pytest.mark.parametrize("kind", KINDS)
def test_learns(kind: str) -> None:
    adapter = ViTVPT(vit(kind), CLASSES, VPTOptions(tokens=3, depth=DEPTH), generator=seeded())
    with torch.no_grad():
        adapter.head.last.weight.mul_(50)  # it starts near 0, and few steps would not bring it to hear the prompts
    losses = train(adapter, 30)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("depth", [1, 2, DEPTH])
def test_gradients_are_those_of_the_plain_form(depth: int) -> None:
    adapter = make(depth=depth)
    tokens = adapter.prompts.sets.tokens
    mine = torch.autograd.grad(adapter(pictures()).square().sum(), tokens)[0]
    images = adapter.model.normalize(pictures())
    final = prepended(adapter.view.net, images, {i: tokens[i] for i in range(depth)})
    plain = torch.autograd.grad(adapter.head(pooled(final, "cls", 3)).square().sum(), tokens)[0]
    torch.testing.assert_close(mine, plain, rtol=1e-3, atol=1e-3)
    assert plain.abs().amax((1, 2)).min() > 1e-3


@pytest.mark.parametrize(("location", "options"), LOCATIONS)
def test_dropout_comes_from_the_generator_and_in_training_only(location: str, options: dict) -> None:
    adapter, images = make(location=location, dropout=0.5, **options), pictures()
    plain = make(location=location, **options)
    torch.testing.assert_close(adapter(images), plain(images), rtol=0, atol=0)
    adapter.train()
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        results.append(adapter.outputs(images, generator=seeded(5)))
        assert torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state())
    assert torch.equal(results[0], results[1])
    assert (adapter.outputs(images, generator=seeded(6)) - results[0]).abs().max() > 1e-3
    assert (results[0] - plain(images)).abs().max() > 1e-3


def test_each_image_and_each_layer_has_a_mask_of_its_own() -> None:
    adapter = make(dropout=0.5, depth=2)
    sets = adapter.prompts.sets.train()
    generator = seeded(5)
    first, second = (sets(index, 4, generator=generator) for index in (0, 1))
    assert first.shape == (4, 3, WIDTH)
    again = seeded(5)
    for index, drawn in ((0, first), (1, second)):
        mask = drop(torch.ones(4, 3, WIDTH), 0.5, generator=again)
        torch.testing.assert_close(drawn, sets.tokens[index] * mask)
    assert sets.eval()(0, 4, generator=None).shape == (1, 3, WIDTH)


@pytest.mark.parametrize(("location", "options"), LOCATIONS)
def test_state_is_prompts_and_head_and_comes_back(location: str, options: dict) -> None:
    adapter = make(location=location, **options)
    state = adapter.state_dict()
    assert {name.partition(".")[0] for name in state} == {"prompts", "head"}
    assert sum(value.numel() for value in state.values()) == adapter.num_tuned
    again = ViTVPT(vit(), CLASSES, adapter.options, generator=seeded(9)).eval()
    assert not torch.equal(again(pictures()), adapter(pictures()))
    again.load_state_dict(state)
    assert torch.equal(again(pictures()), adapter(pictures()))


@pytest.mark.parametrize(("location", "options"), LOCATIONS)
def test_first_numbers_come_from_the_generator(location: str, options: dict) -> None:
    starts = []
    for seed, own in ((0, 3), (1, 3), (0, 4)):
        torch.manual_seed(seed)
        chosen = VPTOptions(location=location, **{"tokens": 3} | options)
        starts.append(ViTVPT(vit(), CLASSES, chosen, generator=seeded(own)).state_dict())
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert any(not torch.equal(starts[0][name], starts[2][name]) for name in starts[0])


def test_the_frozen_part_ends_where_prompts_begin() -> None:
    net = timm_net()
    model, images = vit(), pictures()
    tokens = net._pos_embed(net.patch_embed(model.normalize(images)))
    for depth, end, layers in ((1, "bottom", 0), (DEPTH, "bottom", 0), (1, "top", DEPTH - 1), (2, "top", DEPTH - 2)):
        adapter = make(model, depth=depth, depth_from=end)
        (part,) = adapter.frozen(images)
        torch.testing.assert_close(part, net.eval().blocks[:layers](tokens), rtol=1e-4, atol=1e-4)
        assert torch.equal(adapter.tuned((part,)), adapter(images))
        assert not part.requires_grad


def test_calls_leave_the_parts_as_they_are() -> None:
    """Results of the frozen part are kept between epochs: nothing may write to them."""
    for location, options in LOCATIONS:
        adapter = make(location=location, **options)
        parts = adapter.frozen(pictures())
        before = [part.clone() for part in parts]
        adapter.tuned(parts).sum().backward()
        assert all(torch.equal(a, b) for a, b in zip(parts, before, strict=True))
