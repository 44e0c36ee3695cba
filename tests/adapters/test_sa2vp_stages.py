"""SA²VP on Swins and ConvNets: what both pathways compute, what is learned, and what is not even run."""

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters.sa2vp.stages import StagedSA2VP
from pixprompt.core import ConfigError

from ..backbones.swin_toy import seeded
from .sa2vp_stages_toy import CONVNETS, FEW, NETS, SWINS, pictures, reference, sa2vp

TURNS = {3: {0}, 4: {0, 2}, 6: {0, 2, 4}}


def both(adapter: StagedSA2VP, images: Tensor) -> tuple[Tensor, ...]:
    return adapter.features(adapter.frozen(images), both=True)


def close(tensor: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(tensor, expected, rtol=1e-10, atol=1e-10)


def apart(tensor: Tensor, expected: Tensor) -> float:
    return float((tensor - expected).abs().max().detach())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {}) for kind in NETS),
        *((kind, options) for kind in (SWINS[1], CONVNETS[0]) for options in (
            {"deep": False}, {"window": 0}, {"window": 1}, {"window": 5}, {"bottleneck": 0}, {"rank": 0},
            {"gamma": 1.5}, {"activation": "relu"}, {"depth": 3}, {"depth": 6},
        )),
    ],
    ids=str,
)  # fmt: skip
def test_both_pathways_are_those_of_the_plain_reference(kind: str, options) -> None:
    adapter = sa2vp(kind, **options)
    images = pictures(adapter, 2)
    asks = TURNS[options.get("depth", 4)]
    actual, expected = both(adapter, images), reference(adapter, images, asks)
    for mine, theirs in zip(actual, expected, strict=True):
        close(mine, theirs)
    close(adapter.tuned(adapter.frozen(images)), adapter.head(expected[0]))  # what is left out changes nothing
    shares = adapter.supervised(adapter.frozen(images))
    assert [share for share, _ in shares] == [0.8, pytest.approx(0.2)]
    for (_, logits), theirs in zip(shares, expected, strict=True):
        close(logits, adapter.head(theirs))


@pytest.mark.parametrize("kind", [SWINS[1], CONVNETS[0]])
def test_the_reference_knows_other_windows_and_other_turns(kind: str) -> None:  # negative control of the test above
    adapter = sa2vp(kind, gamma=1.0)
    images = pictures(adapter, 1)
    result = both(adapter, images)
    assert apart(result[0], reference(adapter, images, {0, 2}, window=5)[0]) > 1e-6
    assert apart(result[0], reference(adapter, images, {0, 1})[0]) > 1e-4
    assert apart(result[1], result[0]) > 1e-3


@pytest.mark.parametrize(("kind", "owned"), [*((kind, True) for kind in NETS), (FEW[0], False), (FEW[-2], False)])
def test_with_gamma_zero_the_image_pathway_is_the_frozen_backbone(kind: str, owned: bool) -> None:
    adapter = sa2vp(kind, gamma=0.0, owned=owned)
    images = pictures(adapter, 2)
    (mine,) = adapter.features(adapter.frozen(images), both=False)
    with adapter.view.model.held():
        answers = adapter.model.net(adapter.model.normalize(images))
        own = [module for module in adapter.model.net.modules() if isinstance(module, nn.Linear)][-1]
        close(own(mine), answers)
    close(adapter(images), adapter.head(mine))
    assert apart(sa2vp(kind, gamma=0.1)(images), adapter(images)) > 1e-5


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("options", [{}, {"deep": False, "window": 0}], ids=str)
def test_an_image_gets_the_same_alone_and_in_a_batch(kind: str, options) -> None:
    adapter = sa2vp(kind, gamma=1.0, **options)
    images = pictures(adapter, 3)
    whole = both(adapter, images)
    alone = [both(adapter, images[place : place + 1]) for place in range(3)]
    for pathway in (0, 1):
        close(whole[pathway], torch.cat([one[pathway] for one in alone]))
        assert apart(whole[pathway][0], whole[pathway][1]) > 1e-5  # the prompts come to differ by image, too


@pytest.mark.parametrize(("kind", "owned"), [*((kind, True) for kind in NETS), (FEW[0], False), (FEW[-2], False)])
def test_gradients_reach_what_is_learned_and_the_backbone_stays(kind: str, owned: bool) -> None:
    adapter = sa2vp(kind, owned=owned, lively=False, dropout=0.0).train()
    net, images = adapter.model.net, pictures(adapter, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [(module.training, *(value.requires_grad for value in module.parameters())) for module in net.modules()]
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    for _ in range(3):  # the adapters' last layer starts at 0, and with it what lies in front of it
        optimizer.zero_grad()
        logits = adapter.supervised(adapter.frozen(images))
        sum(share * part.square().sum() for share, part in logits).backward()
        optimizer.step()
    for name, value in adapter.named_parameters():
        assert value.grad is not None, name
        assert float(value.grad.abs().sum()) > 0, name
    assert all(value.grad is None for value in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    after = [(module.training, *(value.requires_grad for value in module.parameters())) for module in net.modules()]
    assert after == flags
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(("kind", "places"), [("swin", (196, 49)), ("timm-resnet", (16 * 12, 4 * 3))])
@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("rank", [3, 0])
def test_what_is_learned_is_what_the_formula_counts(kind: str, places, deep: bool, rank: int) -> None:
    first, inner, last = (24, 48, 48) if kind == "swin" else (64, 16, 24)
    blocks, t, k = 6, 4, 3

    def map_of(count: int, width: int) -> int:
        return count * rank + rank * width + width if rank else count * width

    expected = map_of(places[0], first) + blocks * (2 * inner + inner * t + t + t * inner + inner) + k * last + k
    if deep:
        expected += (len(TURNS[blocks]) - 1) * (map_of(places[1], inner) + inner)
    adapter = sa2vp(kind, depth=blocks, deep=deep, rank=rank)
    assert adapter.num_tuned == expected
    assert sa2vp(kind, depth=blocks, deep=deep, rank=rank, bottleneck=0).num_tuned == expected - blocks * (
        2 * inner + inner * t + t + t * inner + inner
    )
    assert adapter.num_backbone == sum(value.numel() for value in adapter.view.parameters())
    other = sa2vp(kind, depth=blocks, deep=deep, rank=rank, lively=False)
    other.load_state_dict(adapter.state_dict())
    images = pictures(adapter, 1)
    assert torch.equal(other(images), adapter(images))


def sizes_at(module: nn.Module, sizes: list[int]):
    return module.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))


@pytest.mark.parametrize("kind", ["swin-odd", "timm-resnet"])
def test_prompts_go_once_through_the_stages_below_and_only_as_far_as_they_are_read(kind: str) -> None:
    adapter = sa2vp(kind, dropout=0.5).train()
    inner, above = (stage.blocks[-1] for stage in adapter.view.stages[2:])
    inner = inner.mlp if kind == "swin-odd" else inner.bn2
    below = adapter.view.stages[0].blocks[0]
    modules = [below.mlp if kind == "swin-odd" else below.bn2, inner, above.mlp if kind == "swin-odd" else above.bn2]
    counts: list[list[int]] = [[], [], []]
    images = pictures(adapter, 3)
    parts = adapter.frozen(images)
    hooks = [sizes_at(module, sizes) for module, sizes in zip(modules, counts, strict=True)]
    adapter.tuned(parts, generator=seeded())
    # At the last block the image asks: a ResNet's prompts have to run it, a Swin's are asked in front of it.
    assert counts == [[1], [3] if kind == "swin-odd" else [3, 3], [3]]
    for sizes in counts:
        sizes.clear()
    adapter.supervised(parts, generator=seeded())
    assert counts == [[1], [3, 3], [3, 3]]
    for sizes in counts:
        sizes.clear()
    with torch.no_grad():
        adapter.eval().tuned(adapter.frozen(images))
    assert counts[0] == [3, 1]
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("kind", FEW)
def test_the_frozen_part_is_worth_keeping_and_goes_by_image(kind: str) -> None:
    adapter = sa2vp(kind, owned=False)
    assert adapter.caches_frozen
    images = pictures(adapter, 3)
    (part,) = adapter.frozen(images)
    assert len(part) == 3
    assert not part.requires_grad
    remaining = torch.cat([adapter.frozen(images[place : place + 1])[0] for place in range(3)]).contiguous()
    close(adapter.tuned((remaining,)), adapter(images))


@pytest.mark.parametrize("kind", FEW)
def test_dropout_is_drawn_from_the_generator_in_training_only(kind: str) -> None:
    adapter, plain = sa2vp(kind, dropout=0.5, gamma=1.0), sa2vp(kind, dropout=0.0, gamma=1.0)
    parts = adapter.frozen(pictures(adapter, 1).expand(2, -1, -1, -1))
    adapter.train()
    first, again, other = (adapter.tuned(parts, generator=seeded(seed)) for seed in (1, 1, 2))
    close(first, again)
    assert apart(first, other) > 1e-4
    assert apart(first[0], first[1]) > 1e-6  # that of the adapters differs between images
    with pytest.raises(ConfigError, match="needs a generator"):
        adapter.tuned(parts)
    close(adapter.eval().tuned(parts), plain.tuned(parts))


@pytest.mark.parametrize("kind", FEW)
def test_without_supervision_the_image_alone_answers(kind: str) -> None:
    adapter = sa2vp(kind, balance=1.0)
    images = pictures(adapter, 2)
    ((share, logits),) = adapter.supervised(adapter.frozen(images))
    assert share == 1
    close(logits, adapter(images))


@pytest.mark.parametrize(("kind", "grid", "width"), [("swin", (7, 7), 48), ("timm-resnet", (4, 3), 16)])
def test_states_are_what_meets_at_each_block(kind: str, grid, width: int) -> None:
    adapter = sa2vp(kind)
    images = pictures(adapter, 2)
    states = adapter.states(images)
    assert [tuple(part.shape) for part in states.images] == [(2, grid[0] * grid[1], width)] * 4
    assert [len(part) for part in states.prompts] == [1, 2, 2, 2]
    assert {tuple(part.shape[1:]) for part in states.prompts} == {(grid[0] * grid[1], width)}
    assert states.grids == ((grid, grid),) * 4
    assert states.layers == ((1, 2, 3, 4) if kind == "swin" else (2, 3, 4, 5))
    (part,) = adapter.frozen(images)
    at_first = part if kind == "swin" else adapter.layers[0].start(part).tokens
    close(states.images[0], at_first.flatten(1, 2))
    assert not any(part.requires_grad for part in (*states.images, *states.prompts))


@pytest.mark.parametrize("kind", [SWINS[0], *FEW[2:]])
def test_two_blocks_are_the_least(kind: str) -> None:
    adapter = sa2vp(kind, depth=2)
    assert adapter.prompt_layers == (0,)
    assert apart(adapter(pictures(adapter, 1)), sa2vp(kind, depth=2, gamma=0.0)(pictures(adapter, 1))) > 1e-6
    with pytest.raises(ConfigError, match="need 2 layers or more, got 1"):
        sa2vp(kind, depth=1)


@pytest.mark.parametrize("kind", FEW)
def test_in_float32_it_is_the_same_within_rounding(kind: str) -> None:
    single = sa2vp(kind, double=False)
    images = pictures(single, 2)
    assert single(images).dtype == torch.float32
    double = sa2vp(kind)
    torch.testing.assert_close(single(images).double(), double(images), rtol=1e-3, atol=1e-3)
