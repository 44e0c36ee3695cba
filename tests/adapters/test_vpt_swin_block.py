"""One Swin block with prompts against plain loops that share no code with it."""

import itertools

import pytest
import torch
from torch import Tensor

from pixprompt.adapters.vpt.swin_block import prompted_block
from pixprompt.backbones.swin import Swin

from ..backbones.swin_toy import MANY, ONE, seeded, swin


def looped(module, images: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Token by token: images (N, H, W, D), prompts (N, P, D), sides that are multiples of the window."""
    count, height, width, _ = images.shape
    side, shift, num_prompts = module.window_size[0], module.shift_size[0], prompts.shape[1]
    inputs, expected = torch.zeros_like(images), torch.zeros_like(prompts)
    windows = list(itertools.product(range(0, height, side), range(0, width, side)))
    for image, (top, left) in itertools.product(range(count), windows):
        places = list(itertools.product(range(top, top + side), range(left, left + side)))
        sources = [((i + shift) % height, (j + shift) % width) for i, j in places]
        # Which of two parts that the shift brought together a token is from.
        parts = [(i + shift >= height, j + shift >= width) for i, j in places]
        tokens = module.norm1(torch.stack([*prompts[image], *(images[image, i, j] for i, j in sources)]))
        results = attend(module.attn, tokens, num_prompts, places, parts)
        expected[image] += results[:num_prompts] / len(windows)
        for (i, j), result in zip(sources, results[num_prompts:], strict=True):
            inputs[image, i, j] = result
    images, prompts = images + inputs, prompts + expected
    return images + module.mlp(module.norm2(images)), prompts + module.mlp(module.norm2(prompts))


def attend(attention, tokens: Tensor, num_prompts: int, places, parts) -> Tensor:
    side, heads = attention.window_size[0], attention.num_heads
    length = tokens.shape[1] // heads
    projected = attention.qkv(tokens)
    results = torch.zeros_like(tokens)
    for head, asking in itertools.product(range(heads), range(len(tokens))):
        start = head * length
        query = projected[asking, start : start + length]
        keys = projected[:, tokens.shape[1] + start :][:, :length]
        values = projected[:, 2 * tokens.shape[1] + start :][:, :length]
        logits = keys @ query / length**0.5
        for asked in range(num_prompts, len(tokens)):
            if asking < num_prompts:
                continue
            (i, j), (k, m) = places[asking - num_prompts], places[asked - num_prompts]
            row = (i - k + side - 1) * (2 * side - 1) + (j - m + side - 1)
            logits[asked] += attention.relative_position_bias_table[row, head]
            logits[asked] -= 100.0 * (parts[asking - num_prompts] != parts[asked - num_prompts])
        results[asking, start : start + length] = logits.softmax(0) @ values
    return attention.proj(results)


@pytest.fixture
def case():
    view = Swin(swin((16, 2), depths=(2,), num_heads=(2,)))
    view.net.double()
    block = view.stages[0].blocks[1]
    assert block.shift == (1, 1)
    assert block.num_windows == 4
    images = torch.randn(2, 4, 4, 24, generator=seeded(1), dtype=torch.float64)
    return block, images, torch.randn(2, 3, 24, generator=seeded(2), dtype=torch.float64)


@torch.no_grad()
def test_a_shifted_block_with_prompts_of_each_image_is_the_plain_loop(case) -> None:
    block, images, prompts = case
    expected = looped(block.module, images, prompts)
    for output, want in zip(prompted_block(block, images, prompts, reads_prompts=True), expected, strict=True):
        torch.testing.assert_close(output, want, rtol=1e-11, atol=1e-11)
    mixed = prompted_block(block, images, prompts, reads_prompts=True, layout="legacy")  # negative control
    assert float((mixed[0] - expected[0]).abs().max()) > 1e-3


@torch.no_grad()
def test_prompts_common_to_all_images_need_one_row_only(case) -> None:
    block, images, prompts = case
    expected = prompted_block(block, images, prompts[:1].expand(2, -1, -1), reads_prompts=True)
    for output, want in zip(prompted_block(block, images, prompts[:1], reads_prompts=True), expected, strict=True):
        torch.testing.assert_close(output, want, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_without_keep_the_prompts_come_back_as_they_were(case) -> None:
    block, images, prompts = case
    outputs, same = prompted_block(block, images, prompts, reads_prompts=False)
    assert same is prompts
    torch.testing.assert_close(
        outputs, prompted_block(block, images, prompts, reads_prompts=True)[0], rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize("size", [ONE, MANY])
@torch.no_grad()
def test_without_prompts_a_block_is_the_librarys(size) -> None:
    view = Swin(swin(size))
    view.net.double()
    for block in view.stages[0].blocks:
        tokens = torch.randn(2, *block.size, 24, generator=seeded(), dtype=torch.float64)
        outputs, _ = prompted_block(block, tokens, tokens.new_zeros(1, 0, 24), reads_prompts=True)
        torch.testing.assert_close(outputs, block(tokens), rtol=1e-10, atol=1e-10)
