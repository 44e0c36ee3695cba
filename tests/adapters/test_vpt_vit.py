"""VPT on a ViT: every location, depth and pool against a plain reference."""

import pytest
import torch
from torch import Tensor

from pixprompt.adapters import vpt
from pixprompt.adapters.vpt import ViTVPT
from pixprompt.adapters.vpt.prompts import prompt_bound

from ..backbones.vit_toy import CLASSES, DEPTH, KINDS, PATCHES, WIDTH, library_features, pictures, seeded, vit
from .vpt_reference import added, bound, make, pooled, prepended, reversed_public, with_channels, with_strip

POOLS = ("cls", "image", "image-and-prompt", "prompt")
DEPTHS = [(1, "bottom"), (2, "bottom"), (DEPTH, "bottom"), (1, "top"), (2, "top")]


def sets_of(adapter: ViTVPT) -> dict[int, Tensor]:
    options, tokens = adapter.options, adapter.prompts.sets.tokens
    first = DEPTH - options.depth if options.depth_from == "top" else 0
    return {first + i: tokens[min(i, len(tokens) - 1)] for i in range(options.depth)}


def head(adapter: ViTVPT, features: Tensor) -> Tensor:
    return features @ adapter.head.last.weight.T + adapter.head.last.bias


def same(adapter: ViTVPT, tokens: Tensor, num_prompts: int = 3) -> None:
    expected = head(adapter, pooled(tokens, adapter.options.pool, num_prompts))
    torch.testing.assert_close(adapter(pictures()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("depth", "end"), DEPTHS)
def test_prepended_prompts(depth: int, end: str, pool: str) -> None:
    adapter = make(depth=depth, depth_from=end, pool=pool)
    net, images = adapter.view.net, adapter.model.normalize(pictures())
    same(adapter, prepended(net, images, sets_of(adapter)))


def test_register_tokens_are_neither_prompts_nor_patches() -> None:
    adapter = make("registers", pool="image-and-prompt")
    tokens = adapter.view.embed(pictures())
    tokens = torch.cat([tokens, adapter.prompts.sets.tokens[0].expand(4, -1, -1)], 1)
    for layer in adapter.view.layers:
        tokens = layer(tokens)
    features = adapter.view.norm(tokens)[:, 3:].mean(1)
    torch.testing.assert_close(adapter(pictures()), head(adapter, features), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("depth", "end"), DEPTHS[1:3])
def test_shared_prompts(depth: int, end: str) -> None:
    adapter = make(depth=depth, depth_from=end, shared=True)
    assert len(adapter.prompts.sets.tokens) == 1
    same(adapter, prepended(adapter.view.net, adapter.model.normalize(pictures()), sets_of(adapter)))


def test_projected_prompts() -> None:
    adapter = make(depth=2, projection=5)
    sets = adapter.prompts.sets
    assert sets.tokens.shape == (2, 3, 5)
    wide = {index: value @ sets.projection.weight.T + sets.projection.bias for index, value in sets_of(adapter).items()}
    same(adapter, prepended(adapter.view.net, adapter.model.normalize(pictures()), wide))


@pytest.mark.parametrize("depth", [1, DEPTH - 1])
def test_prompts_from_the_top_overwrite_no_patches(depth: int) -> None:
    """Negative control: the public code's way gives something else, and its sequence is p tokens short."""
    adapter = make(depth=depth, depth_from="top")
    wrong = reversed_public(adapter.view.net, adapter.model.normalize(pictures()), sets_of(adapter))
    assert wrong.shape[1] == 1 + PATCHES
    assert (adapter(pictures()) - head(adapter, wrong[:, 0])).abs().max() > 1e-2


@pytest.mark.parametrize("pool", ["cls", "image"])
@pytest.mark.parametrize(("depth", "end"), DEPTHS)
@pytest.mark.parametrize("location", ["add", "add-one"])
def test_added_prompts(location: str, depth: int, end: str, pool: str) -> None:
    adapter = make(location=location, tokens=None, depth=depth, depth_from=end, pool=pool)
    rows = 1 + PATCHES if location == "add" else 1
    assert adapter.prompts.sets.tokens.shape == (depth, rows, WIDTH)
    same(adapter, added(adapter.view.net, adapter.model.normalize(pictures()), sets_of(adapter)))


@pytest.mark.parametrize("pool", POOLS)
def test_a_strip_of_pixels(pool: str) -> None:
    adapter = make(location="prepend-pixel", pool=pool)
    assert adapter.prompts.strip.shape == (3, 16, 48)
    same(adapter, with_strip(adapter.view.net, adapter.model.normalize(pictures()), adapter.prompts.strip))


@pytest.mark.parametrize("pool", ["cls", "image"])
def test_channels_beneath(pool: str) -> None:
    adapter = make(location="concat-channel", tokens=2, pool=pool)
    prompts, images = adapter.prompts, adapter.model.normalize(pictures())
    assert (prompts.channels.shape, prompts.kernel.shape) == ((2, 32, 32), (WIDTH, 2, 16, 16))
    same(adapter, with_channels(adapter.view.net, images, prompts.channels, prompts.kernel))


@pytest.mark.parametrize("kind", KINDS)
def test_no_prompts_are_linear_probing(kind: str) -> None:
    adapter = make(kind, tokens=0)
    features = library_features(adapter.model, pictures())[:, 0]
    torch.testing.assert_close(adapter(pictures()), head(adapter, features), rtol=1e-4, atol=1e-4)
    assert adapter.num_tuned == (WIDTH + 1) * len(CLASSES)
    assert adapter.frozen(pictures())[0].shape == (4, 1, WIDTH)


def test_no_prompts_are_the_models_own_answer_under_its_own_head() -> None:
    model = vit()
    adapter = ViTVPT(model, tuple("abcde"), vpt.VPTOptions(tokens=0), generator=seeded())
    adapter.head.last.load_state_dict(model.net.head.state_dict())
    torch.testing.assert_close(adapter(pictures()), model(pictures()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("location", ["add", "add-one", "concat-channel"])
def test_changes_of_zero_change_nothing(kind: str, location: str) -> None:
    adapter = make(kind, location=location, tokens=2 if location == "concat-channel" else None)
    assert (adapter(pictures()) - head(adapter, library_features(adapter.model, pictures())[:, 0])).abs().max() > 1e-2
    with torch.no_grad():
        for parameter in adapter.prompts.parameters():
            parameter.zero_()
    features = library_features(adapter.model, pictures())[:, 0]
    torch.testing.assert_close(adapter(pictures()), head(adapter, features), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("depth", "end"), DEPTHS)
def test_prompts_in_another_order_and_images_alone_give_the_same(kind: str, depth: int, end: str) -> None:
    adapter = make(kind, depth=depth, depth_from=end)
    together = adapter(pictures())
    alone = torch.cat([adapter(image.unsqueeze(0)) for image in pictures()])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        tokens = adapter.prompts.sets.tokens
        before = tokens.clone()
        tokens.copy_(before[:, [2, 0, 1]])
        torch.testing.assert_close(adapter(pictures()), together, rtol=1e-4, atol=1e-4)
        tokens[:, 0] = before[:, 0]  # negative control: another set of prompts
        assert (adapter(pictures()) - together).abs().max() > 1e-2


@pytest.mark.parametrize("location", ["add", "prepend-pixel"])
def test_places_are_places(location: str) -> None:
    """What is added to a token belongs to it, while patches of a strip have no place."""
    adapter = make(location=location, tokens=3 if location == "prepend-pixel" else None)
    together = adapter(pictures())
    with torch.no_grad():
        if location == "add":
            adapter.prompts.sets.tokens.copy_(adapter.prompts.sets.tokens.flip(1))
            assert (adapter(pictures()) - together).abs().max() > 1e-2
        else:
            strip = adapter.prompts.strip
            strip.copy_(torch.cat(strip.split(16, 2)[::-1], 2))
            torch.testing.assert_close(adapter(pictures()), together, rtol=1e-4, atol=1e-4)


def test_the_first_prompts_lie_within_the_papers_bound() -> None:
    assert prompt_bound((16, 16), 768) == bound(16, 768) == 0.0625
    for projection, width in ((None, WIDTH), (5, 5)):
        options = vpt.VPTOptions(tokens=16, depth=DEPTH, projection=projection)
        first = ViTVPT(vit(), CLASSES, options, generator=seeded()).prompts.sets.tokens
        assert 0.95 * bound(16, width) < first.abs().max() <= bound(16, width)
        assert abs(float(first.detach().mean())) < 0.1 * bound(16, width)
    strip = ViTVPT(vit(), CLASSES, vpt.VPTOptions(location="prepend-pixel"), generator=seeded()).prompts.strip
    assert 0.95 * bound(16, WIDTH) < strip.abs().max() <= bound(16, WIDTH)
