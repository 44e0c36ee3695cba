"""SA²VP on a ViT: every option against a plain reference, and what must hold whatever was learned."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pixprompt.adapters.sa2vp import SA2VPOptions, ViTSA2VP, make_sa2vp
from pixprompt.adapters.sa2vp.options import prompt_layers
from pixprompt.core import ConfigError, RangeError

from ..backbones.vit_toy import CLASSES, KINDS, library_features, seeded, vit, vit_b
from .sa2vp_reference import pathways, sa2vp

EXACT = {"rtol": 0.0, "atol": 1e-10}
VARIANTS: list[dict[str, object]] = [
    {},
    {"deep": False},
    {"window": 1},
    {"window": 0},
    {"bottleneck": 0},
    {"rank": 0},
    {"activation": "relu"},
    {"balance": 1.0},
    {"gamma": 1.5},
]


def pictures(count: int = 3, size: int = 48, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, size, size, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_both_pathways_are_those_of_the_public_code(options: dict[str, object]) -> None:
    adapter = sa2vp(**options)
    image, prompt = pathways(adapter, pictures())
    weights = adapter.supervised(adapter.frozen(pictures()))
    torch.testing.assert_close(adapter(pictures()), image, **EXACT)
    torch.testing.assert_close(weights[0][1], image, **EXACT)
    assert [share for share, _ in weights] == ([1.0] if options.get("balance") else pytest.approx([0.8, 0.2]))
    if len(weights) > 1:
        torch.testing.assert_close(weights[1][1], prompt, **EXACT)
    assert (image - prompt).abs().max() > 1e-2


@pytest.mark.parametrize("other", [{"window": 1}, {"window": 0}, {"activation": "relu"}, {"deep": False}], ids=str)
def test_the_reference_sees_another_option(other: dict[str, object]) -> None:
    adapter = sa2vp()
    answered = adapter(pictures())
    adapter.options = replace(adapter.options, **other)
    assert (pathways(adapter, pictures())[0] - answered).abs().max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_with_gamma_0_and_no_adapters_it_is_the_frozen_backbone_with_its_head(kind: str) -> None:
    adapter = sa2vp(kind, gamma=0.0, bottleneck=0, size=32)
    images = pictures(size=32)
    features = library_features(adapter.model, images)[:, 0]
    torch.testing.assert_close(adapter(images), adapter.head(features), **EXACT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deep", [True, False])
def test_an_image_alone_is_answered_as_in_a_batch(kind: str, deep: bool) -> None:
    adapter = sa2vp(kind, deep=deep, size=32)
    images = pictures(size=32)
    alone = torch.cat([adapter(image[None]) for image in images])
    torch.testing.assert_close(adapter(images), alone, **EXACT)
    assert (alone[0] - alone[1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_over_the_whole_map_is_global(kind: str) -> None:
    whole, narrow = sa2vp(kind, window=0, size=32), sa2vp(kind, window=1, size=32)
    wide = sa2vp(kind, window=3, size=32)  # the map is 2 x 2
    torch.testing.assert_close(wide(pictures(size=32)), whole(pictures(size=32)), **EXACT)
    assert (narrow(pictures(size=32)) - whole(pictures(size=32))).abs().max() > 1e-4


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_training_reaches_everything_that_is_learned_and_nothing_else(rate: float) -> None:
    adapter = sa2vp(dropout=rate).train()
    before = {name: value.clone() for name, value in adapter.model.net.state_dict().items()}
    parts = adapter.frozen(pictures())
    losses = [share * logits.square().mean() for share, logits in adapter.supervised(parts, generator=seeded())]
    torch.autograd.backward(torch.stack(losses).sum())
    assert [name for name, value in adapter.named_parameters() if value.grad is None or not value.grad.any()] == []
    assert all(value.grad is None for value in adapter.model.net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in adapter.model.net.state_dict().items())
    first, again, other = (adapter.supervised(parts, generator=seeded(seed))[0][1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is (rate == 0)


def test_training_starts_from_the_frozen_backbone() -> None:
    model = vit("timm", depth=6, img_size=48)
    adapter = ViTSA2VP(model, CLASSES, SA2VPOptions(gamma=1.5), generator=seeded()).eval()
    images = pictures().float()
    expected = adapter.head(library_features(model, images)[:, 0])
    torch.testing.assert_close(adapter(images), expected, rtol=1e-5, atol=1e-5)


def test_a_smaller_map_has_its_own_places() -> None:
    adapter = sa2vp(size=64, map_scale=2)
    assert adapter.maps[0].tokens.shape == (1, 1 + 4, 3)
    states = adapter.states(pictures(2, 64))
    assert states.images[0].shape == (2, 16, 24)
    assert states.prompts[0].shape == (1, 4, 24)
    assert set(states.grids) == {((4, 4), (2, 2))}
    assert states.layers == tuple(range(6))
    far = adapter(pictures(2, 64))
    with torch.no_grad():
        adapter.maps[0].tokens[:, 1:] = adapter.maps[0].tokens[:, 1:].flip(1)
    assert (adapter(pictures(2, 64)) - far).abs().max() > 1e-3
    with pytest.raises(ConfigError, match="4 x 4, which cannot be scaled down by 3"):
        sa2vp(size=64, map_scale=3)


def test_one_map_for_the_places_of_a_smaller_one_is_flat() -> None:
    """A position embedding that says nothing of places is the same on a smaller map: interpolation keeps constants."""
    model = vit("timm", depth=2, img_size=64)
    with torch.no_grad():
        model.net.pos_embed[:, 1:] = torch.randn(24, generator=seeded())
    same, half = (sa2vp(model, depth=2, map_scale=scale) for scale in (1, 2))
    for result in (same, half):
        with torch.no_grad():
            result.maps[0].tokens.zero_()
    patches = [result.states(pictures(1, 64)).prompts[0] for result in (same, half)]
    torch.testing.assert_close(patches[0][:, :1].expand(-1, 4, -1), patches[1], **EXACT)


def test_the_states_are_those_that_enter_each_layer() -> None:
    adapter = sa2vp()
    states, images = adapter.states(pictures()), adapter.view.embed(pictures())
    torch.testing.assert_close(states.images[0], images[:, 1:], **EXACT)
    after = adapter.view.layers[0](images)
    torch.testing.assert_close(states.images[1], after[:, 1:], **EXACT)
    assert len(states.prompts) == 6
    assert (states.images[2] - adapter.view.layers[1](after)[:, 1:]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("bottleneck", "count", "share"),
    [(8, 225_360, 0.26), (16, 372_912, 0.43), (32, 668_016, 0.78), (64, 1_258_224, 1.47)],
)
def test_learned_numbers_of_a_vit_b(bottleneck: int, count: int, share: float) -> None:
    """Maps 3 (197 r + 768 r + 768) and 2 scalings; each of 12 adapters 2 (768) + 1536 t + t + 768."""
    adapter = ViTSA2VP(vit_b(), CLASSES, SA2VPOptions(bottleneck=bottleneck), generator=seeded())
    learned = adapter.num_tuned - sum(value.numel() for value in adapter.head.parameters())
    assert learned == count == 50_160 + 12 * (2 * 768 + 1536 * bottleneck + bottleneck + 768)
    assert round(100 * learned / adapter.num_backbone, 2) == share


@pytest.mark.parametrize(("depth", "query"), [(12, (0, 4, 8)), (24, (0, 8, 16)), (32, (0, 11, 22)), (18, (0, 6, 12))])
def test_prompts_ask_at_the_first_layer_of_each_third(depth: int, query: tuple[int, ...]) -> None:
    assert prompt_layers(depth) == query


def test_the_image_asks_somewhere_at_every_depth() -> None:
    for depth in range(2, 40):
        assert set(range(depth)) - set(prompt_layers(depth))
        assert len(prompt_layers(depth)) <= 3
        assert depth - 1 not in prompt_layers(depth)
    with pytest.raises(ConfigError, match="2 layers or more, got 1"):
        prompt_layers(1)


def test_new_maps_join_through_the_layer_or_as_they_are() -> None:
    answers = {}
    for new_maps in (None, "through-layer", "direct"):
        adapter = make_sa2vp(vit(depth=6), CLASSES, new_maps=new_maps).eval()
        generator = seeded(2)
        with torch.no_grad():  # at its start the maps give nothing to the image
            for parameter in adapter.parameters():
                parameter.normal_(0.0, 0.3, generator=generator)
        answers[new_maps] = adapter(torch.rand(2, 3, 32, 32, generator=seeded()))
    assert torch.equal(answers[None], answers["through-layer"])
    assert (answers["direct"] - answers["through-layer"]).abs().max() > 1e-4
    with pytest.raises(ConfigError, match="sa2vp-shallow has no option 'new_maps'"):
        make_sa2vp(vit(), CLASSES, deep=False, new_maps="direct")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 4}, ConfigError, "a window has a middle: 1, 3, 5, ..., or 0 for the whole map; got 4"),
        ({"activation": "tanh"}, ConfigError, "gelu, relu, got 'tanh'"),
        ({"new_maps": "later"}, ConfigError, "through-layer, direct, got 'later'"),
        ({"balance": 0.0}, RangeError, r"balance must lie in \(0, 1\], got 0.0"),
        ({"dropout": 1.0}, RangeError, "dropout must lie"),
        ({"gamma": -1.0}, RangeError, "gamma must be 0 or more, got -1.0"),
        ({"gamma": float("nan")}, RangeError, "gamma must be"),
        ({"map_scale": 0}, RangeError, "map_scale must be 1 or more, got 0"),
        ({"bottleneck": -1}, RangeError, "bottleneck must be"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SA2VPOptions(**options)


def test_a_step_costs_what_two_passes_through_the_frozen_layers_cost() -> None:
    """Multiplications and additions of forward and backward, on tensors without memory; adapters have 3% of them."""
    adapter = ViTSA2VP(vit_b(), CLASSES, SA2VPOptions(dropout=0.0), generator=seeded()).to("meta").train()
    images = torch.zeros(2, 3, 224, 224, device="meta")

    def once(tokens: Tensor) -> Tensor:
        for layer in adapter.view.layers:
            tokens = layer(tokens)
        return adapter.view.norm(tokens[:, 0]).sum()

    def step(tokens: Tensor) -> Tensor:
        weights = adapter.supervised((tokens,), generator=seeded())
        return torch.stack([logits.sum() for _, logits in weights]).sum()

    tokens = adapter.frozen(images)[0]
    cost, floor = counted(lambda: step(tokens)), 2 * counted(lambda: once(tokens.clone().requires_grad_()))
    assert 0.9 < cost / floor < 1.1


def counted(run: Callable[[], Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(run())
    return int(counter.get_total_flops())
