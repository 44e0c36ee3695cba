"""The SETR-PUP head: shapes, counts, and the plain order of its steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pixprompt.segmentation import UpHead

from .toy import generator


def make(**options: int) -> UpHead:
    return UpHead(24, 8, 5, generator=generator(), **options)


@pytest.mark.parametrize("grid", [(2, 2), (3, 5)])
def test_16_pixels_per_patch_without_a_last_resize(grid: tuple[int, int]) -> None:
    tokens = torch.randn(2, grid[0] * grid[1], 24, generator=generator())
    for head in (make(), make(stages=2, factor=4)):
        assert head(tokens, grid, (16 * grid[0], 16 * grid[1])).shape == (2, 5, 16 * grid[0], 16 * grid[1])
        assert head(tokens, grid, (32, 48)).shape == (2, 5, 32, 48)


def test_the_classifier_before_the_last_step_is_the_classifier_after_it() -> None:
    head, grid = make(), (2, 3)
    tokens = torch.randn(2, 6, 24, generator=generator())
    maps = F.layer_norm(tokens, (24,), head.first.weight, head.first.bias, 1e-6).transpose(1, 2).reshape(2, 24, *grid)
    for kernel, norm in zip(head.kernels, head.norms, strict=True):
        maps = F.relu(F.group_norm(F.conv2d(maps, kernel, padding=1), 1, norm.weight, norm.bias))
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear")
    with torch.no_grad():
        head.bias.copy_(torch.arange(5.0))
    plain = F.conv2d(maps, head.classifier, head.bias)
    result = head(tokens, grid, (32, 48))
    assert torch.allclose(result, plain, atol=1e-5)
    assert not torch.allclose(result, F.conv2d(maps, head.classifier), atol=1e-2)  # negative control: no bias


def test_tokens_go_row_by_row() -> None:
    tokens = torch.zeros(1, 12, 24)
    tokens[0, 3] = torch.randn(24, generator=generator())  # the last of the first row of (3, 4)
    quiet = make()(torch.zeros(1, 12, 24), (3, 4), (48, 64))
    change = (make()(tokens, (3, 4), (48, 64)) - quiet).abs().sum(1)[0]
    assert change[:16, 48:].mean() > 2 * change[32:, :16].mean()


def test_counts_are_those_of_setr_on_vit_l() -> None:
    """4.17 million for the head and 2.99 for an auxiliary one: with three of those, 13.14 in all."""
    with torch.device("meta"):
        head, other = (UpHead(1024, 256, 150, stages=n, factor=f, generator=None) for n, f in ((4, 2), (2, 4)))
    convolutions = 9 * 256 * (1024 + 3 * 256)
    norms, classifier = 2 * 1024 + 4 * 2 * 256, 256 * 150 + 150
    counts = [sum(value.numel() for value in each.parameters()) for each in (head, other)]
    assert counts == [convolutions + norms + classifier, 9 * 256 * (1024 + 256) + 2 * 1024 + 2 * 2 * 256 + classifier]
    assert counts[0] == 4_171_414
    assert counts[0] + 3 * counts[1] == 13_143_640


def test_a_crop_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    tokens = torch.randn(3, 4, 24, generator=generator())
    together = make()(tokens, (2, 2), (32, 32))
    assert torch.allclose(together[:1], make()(tokens[:1], (2, 2), (32, 32)), atol=1e-6)


def test_first_numbers_are_the_generators() -> None:
    first, again, other = (UpHead(24, 8, 5, generator=generator(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.kernels[0], other.kernels[0])
