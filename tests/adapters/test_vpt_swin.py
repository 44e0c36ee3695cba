"""VPT on Swin: what one image gets does not depend on its batch, and nothing but prompts and head is learned."""

import math

import pytest
import torch
from torch import Tensor, nn

from pixprompt.adapters.vpt.swin import SwinVPT
from pixprompt.adapters.vpt.swin_block import prompted_block
from pixprompt.core import ConfigError, RangeError

from ..backbones.convnet_toy import convnet
from ..backbones.swin_toy import CLASSES, MANY, ODD, ONE, pictures, seeded, swin


def vpt(size=ONE, *, owned: bool = True, seed: int = 0, **options) -> SwinVPT:
    """In float64, so that rounding cannot hide or fake a difference."""
    model = swin(size, owned=owned)
    model.net.double()
    return SwinVPT(model, CLASSES, generator=seeded(seed), **{"tokens": 3} | options).double()


def tokens_of(adapter: SwinVPT, count: int) -> Tensor:
    side = adapter.view.stages[0].blocks[0].size
    return torch.randn(count, *side, 24, generator=seeded(1), dtype=torch.float64)


def apart(adapter: SwinVPT) -> float:
    """How far the logits of a batch are from those of its images one by one."""
    tokens = tokens_of(adapter, 3)
    alone = torch.cat([adapter.tuned((tokens[i : i + 1],)) for i in range(3)])
    return float((adapter.tuned((tokens,)) - alone).abs().max().detach())


SIZES, POOLS = (ONE, ODD, MANY), ("image", "image-and-prompt", "prompt")


@pytest.mark.parametrize(
    ("size", "pool", "options"),
    [  # each two of size, pool and depth together once
        (SIZES[number % 3], POOLS[(number % 3 + number % 4) % 3], options)
        for number, options in enumerate([{"deep": False}, {"depth": 2}, {"depth": 3}, {}] * 3)
    ],
    ids=str,
)
def test_an_image_gets_the_same_alone_and_in_a_batch(size, pool: str, options) -> None:
    assert apart(vpt(size, pool=pool, **options)) < 1e-10


@pytest.mark.parametrize(
    ("size", "options"),
    [(ONE, {"deep": False}), (MANY, {"deep": False}), (ODD, {"depth": 3}), (MANY, {"pool": "image-and-prompt"})],
    ids=str,
)
def test_the_legacy_layout_mixes_the_images_of_a_batch(size, options) -> None:  # negative control of the test above
    legacy = vpt(size, layout="legacy", **options)
    assert apart(legacy) > 1e-4
    ours, tokens = vpt(size, **options), tokens_of(legacy, 1)
    torch.testing.assert_close(legacy.tuned((tokens,)), ours.tuned((tokens,)), rtol=0, atol=1e-12)


def test_in_float32_and_from_images_too() -> None:
    adapter = SwinVPT(swin(MANY), CLASSES, tokens=3, deep=False, generator=seeded())
    images = pictures(3, 64)
    alone = torch.cat([adapter(images[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(adapter(images), alone, rtol=1e-5, atol=1e-5)
    assert adapter(images).dtype == torch.float32
    (tokens,) = adapter.frozen(images)
    assert tokens.shape == (3, 16, 16, 24)
    torch.testing.assert_close(adapter.tuned((tokens,)), adapter(images), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{"deep": False}, {}], ids=str)
def test_no_prompts_are_linear_probing(options) -> None:
    adapter = vpt(ODD, tokens=0, **options)
    tokens = tokens_of(adapter, 2)
    expected = adapter.head(adapter.view.features(tokens))
    torch.testing.assert_close(adapter.tuned((tokens,)), expected, rtol=1e-9, atol=1e-9)
    assert float((vpt(ODD, **options).tuned((tokens,)) - expected).abs().max().detach()) > 1e-3  # prompts do matter


@pytest.mark.parametrize("options", [{"deep": False}, {}, {"projection": 5, "pool": "image-and-prompt"}], ids=str)
def test_prompts_in_another_order_give_the_same(options) -> None:
    adapter = vpt(ODD, tokens=4, **options)
    tokens = tokens_of(adapter, 2)
    before = adapter.tuned((tokens,))
    with torch.no_grad():
        for prompts in adapter.prompts:
            prompts.copy_(prompts[:, [2, 0, 3, 1]])
    torch.testing.assert_close(adapter.tuned((tokens,)), before, rtol=1e-10, atol=1e-10)


def test_shallow_is_depth_one_and_deep_is_the_full_depth() -> None:
    tokens = tokens_of(vpt(), 2)
    torch.testing.assert_close(vpt(deep=False).tuned((tokens,)), vpt(depth=1).tuned((tokens,)), rtol=0, atol=0)
    torch.testing.assert_close(vpt().tuned((tokens,)), vpt(depth=4).tuned((tokens,)), rtol=0, atol=0)


@pytest.mark.parametrize("size", [ONE, ODD])
@pytest.mark.parametrize("depth", [1, 3, 4])
def test_prompts_are_replaced_or_go_on_and_what_nobody_reads_is_left_out_without_a_difference(size, depth) -> None:
    adapter = vpt(size, depth=depth)
    tokens = whole = tokens_of(adapter, 2)
    sets = [one.expand(2, -1, -1) for learned in adapter.prompts for one in learned]
    prompts = sets[0]
    for stage in adapter.view.stages:
        if stage.merge is not None:
            whole, prompts = stage.merge(whole), stage.merge.single(prompts)
        for block in stage.blocks:
            prompts = sets.pop(0) if sets else prompts
            whole, prompts = prompted_block(block, whole, prompts, reads_prompts=True)
    expected = adapter.head(adapter.view.norm(whole).mean((1, 2)))
    torch.testing.assert_close(adapter.tuned((tokens,)), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("options", [{"deep": False}, {"depth": 3}, {"projection": 5}], ids=str)
def test_gradients_reach_what_is_learned_and_the_backbone_stays(owned: bool, options) -> None:
    adapter = SwinVPT(swin(owned=owned), CLASSES, tokens=3, generator=seeded(), **options)
    net = adapter.model.net
    before = {name: value.clone() for name, value in net.state_dict().items()}
    flags = [(module.training, *(value.requires_grad for value in module.parameters())) for module in net.modules()]
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.1)
    adapter(pictures(2)).logsumexp(1).sum().backward()
    for name, value in adapter.named_parameters():
        assert value.grad is not None, name
        assert (value.grad.flatten(1) if value.dim() > 1 else value.grad[None]).abs().sum(-1).min() > 0, name
    optimizer.step()
    assert all(value.grad is None for value in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    after = [(module.training, *(value.requires_grad for value in module.parameters())) for module in net.modules()]
    assert after == flags
    assert not any(module._forward_hooks for module in net.modules())


def test_a_net_in_training_mode_answers_as_in_evaluation_mode() -> None:
    owned, lent = (SwinVPT(swin(owned=owned), CLASSES, tokens=3, generator=seeded()) for owned in (True, False))
    assert lent.model.net.training
    torch.testing.assert_close(lent(pictures(2)), owned(pictures(2)), rtol=1e-5, atol=1e-5)


def test_the_state_is_what_is_learned_and_the_counts_are_those_of_the_paper() -> None:
    def shapes(**options) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in vpt(**options).state_dict().items()}

    head = {"head.last.weight": (3, 48), "head.last.bias": (3,)}
    assert shapes(deep=False) == {"prompts.0": (1, 3, 24)} | head
    assert shapes() == {"prompts.0": (2, 3, 24), "prompts.1": (2, 3, 48)} | head
    assert shapes(depth=3) == {"prompts.0": (2, 3, 24), "prompts.1": (1, 3, 48)} | head
    projected = {f"projections.{i}.{name}": shape for i, width in enumerate((24, 48))
                 for name, shape in (("weight", (width, 5)), ("bias", (width,)))}  # fmt: skip
    assert shapes(projection=5) == {"prompts.0": (2, 3, 5), "prompts.1": (2, 3, 5)} | projected | head
    adapter = vpt()
    # The public code's count: depth - 1 sets in the first stage beyond the first one, depth sets in each later stage.
    assert adapter.num_tuned == (1 + 1) * 3 * 24 + 2 * 3 * 48 + 48 * 3 + 3
    assert adapter.num_backbone == sum(value.numel() for value in adapter.model.net.parameters()) - 48 * 5 - 5
    other = vpt(seed=9)
    other.load_state_dict(adapter.state_dict())
    tokens = tokens_of(adapter, 1)
    torch.testing.assert_close(other.tuned((tokens,)), adapter.tuned((tokens,)), rtol=0, atol=0)


@pytest.mark.parametrize(("projection", "width"), [(None, 24), (6, 6)])
def test_prompts_start_uniform_within_the_bound_of_patch_and_width(projection, width: int) -> None:
    bound = math.sqrt(6 / (3 * 4 * 4 + width))
    for prompts in vpt(tokens=150, projection=projection).prompts:
        assert 0.97 * bound < float(prompts.detach().abs().max()) <= bound
        assert float(prompts.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("deep", [True, False])
def test_dropout_is_drawn_from_the_generator_in_training_only(deep: bool) -> None:
    adapter, plain = vpt(dropout=0.5, deep=deep), vpt(deep=deep)
    tokens = tokens_of(adapter, 2)
    adapter.train()
    first, again, other = (adapter.tuned((tokens,), generator=seeded(seed)) for seed in (1, 1, 2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert float((first - other).abs().max().detach()) > 1e-4
    same = adapter.tuned((tokens[:1].expand(2, -1, -1, -1),), generator=seeded(1))
    assert float((same[0] - same[1]).abs().max().detach()) > 1e-4  # each image has its own
    with pytest.raises(ConfigError, match="needs a generator"):
        adapter.tuned((tokens,))
    torch.testing.assert_close(adapter.eval().tuned((tokens,)), plain.tuned((tokens,)), rtol=0, atol=0)


def test_it_learns() -> None:
    adapter = SwinVPT(swin(), CLASSES, tokens=4, generator=seeded())
    parts = adapter.frozen(pictures(6))
    labels = torch.arange(6) % 3
    with torch.no_grad():
        adapter.head.last.weight.mul_(50)  # the head stays as it was drawn, and near 0 it would hear no prompt
    optimizer = torch.optim.AdamW(adapter.prompts, lr=0.05)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(adapter.tuned(parts), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 197}, r"has 196 patches; tokens must lie in 0\.\.196, got 197"),
        ({"tokens": -1}, "got -1"),
        ({"depth": 5}, r"has 4 blocks; depth must lie in 1\.\.4, got 5"),
        ({"depth": 0}, "got 0"),
        ({"deep": False, "depth": 2}, "the first block only, got depth 2"),
        ({"projection": 0}, "projection must be 1 or more"),
        ({"pool": "cls"}, "pool of a Swin must be one of image, image-and-prompt, prompt, got 'cls'"),
        ({"pool": "prompt", "tokens": 0}, "needs prompts"),
        ({"layout": "public"}, "layout must be one of image, legacy"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vpt(**options)


def test_other_models_and_impossible_dropout_are_refused() -> None:
    with pytest.raises(ConfigError, match="toy-convnet is ResNet; expected timm's SwinTransformer"):
        SwinVPT(convnet(), CLASSES, tokens=3, generator=seeded())
    with pytest.raises(RangeError, match="dropout must lie in"):
        vpt(dropout=1.0)
