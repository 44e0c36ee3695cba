"""One frozen Swin block on image tokens and prompts: the prompts join the tokens of every window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...backbones.swin import SwinBlock

__all__ = ["LAYOUTS", "prompted_block"]

LAYOUTS = ("image", "legacy")


def prompted_block(
    block: SwinBlock, images: Tensor, prompts: Tensor, *, reads_prompts: bool, layout: str = "image"
) -> tuple[Tensor, Tensor]:
    """Runs a block with prompts in front of the tokens of each window.

    Relative bias and shift mask are zero on the rows and columns of prompts. What attention gives to a prompt is
    averaged over the windows of its image; residual, norm and MLP then see it once.

    Args:
        block: Frozen.
        images: Image tokens (N, H, W, D).
        prompts: (N, P, D), or (1, P, D) if they are the same for all images.
        reads_prompts: Whether anything reads the prompts' results. If not, they are not computed.
        layout: "image" gives each image its own prompts. "legacy" is the order of the paper's public code, whose
            windows go by image and whose prompts go by window: images of one batch get each other's prompts.

    Returns:
        Image tokens (N, H, W, D), and prompts: their results (N, P, D), or as given without `reads_prompts`.

    Reference: arXiv 2203.12119, section 4.2.
    """
    windows, states = _attention(block, block.split(block.norm1(images)), block.norm1(prompts), reads_prompts, layout)
    images = images + block.join(windows)
    images = images + block.mlp(block.norm2(images))
    if reads_prompts:
        prompts = prompts + states
        prompts = prompts + block.mlp(block.norm2(prompts))
    return images, prompts


def _attention(
    block: SwinBlock, windows: Tensor, prompts: Tensor, reads_prompts: bool, layout: str
) -> tuple[Tensor, Tensor]:
    """Normed windows (N, W, A, D) and prompts (n, P, D) -> results of the windows and of the prompts, if read."""
    num_images, num_windows = windows.shape[:2]
    count = prompts.shape[1]
    queries, keys, values = block.per_head(block.qkv(windows))
    # Projected once per image, not once per window.
    fronts = [_spread(front, num_images, num_windows, layout) for front in block.per_head(block.qkv(prompts))]
    queries = torch.cat([fronts[0], queries], -2) if reads_prompts else queries
    keys, values = torch.cat([fronts[1], keys], -2), torch.cat([fronts[2], values], -2)
    bias = F.pad(block.bias(), (count, 0, count if reads_prompts else 0, 0)).flatten(0, 1)
    # Windows stand beside heads, so that one bias serves all images without a copy for each.
    mixed = F.scaled_dot_product_attention(
        queries.flatten(1, 2), keys.flatten(1, 2), values.flatten(1, 2), attn_mask=bias.unsqueeze(0)
    )
    mixed = mixed.view(num_images, num_windows, block.heads, *mixed.shape[2:]).transpose(2, 3).flatten(3)
    if not reads_prompts:
        return block.out(mixed), prompts
    # The output projection is linear: the mean may come before it.
    return block.out(mixed[:, :, count:]), block.out(_gather(mixed[:, :, :count], layout))


def _spread(fronts: Tensor, num_images: int, num_windows: int, layout: str) -> Tensor:
    """Prompts per head (n, heads, P, d) -> those of each window (N, W, heads, P, d)."""
    if layout == "image":
        return fronts.unsqueeze(1).expand(num_images, num_windows, -1, -1, -1)
    by_window = fronts.expand(num_images, -1, -1, -1).repeat(num_windows, 1, 1, 1)
    return by_window.view(num_images, num_windows, *fronts.shape[1:])


def _gather(fronts: Tensor, layout: str) -> Tensor:
    """Results of the prompts in each window (N, W, P, D) -> (N, P, D)."""
    if layout == "image":
        return fronts.mean(1)
    num_images, num_windows, *shape = fronts.shape
    return fronts.reshape(num_windows, num_images, *shape).mean(0)
