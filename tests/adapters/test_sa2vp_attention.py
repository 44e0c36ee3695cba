"""Aligned attention against a loop over pairs, against masked attention, and against variants that are wrong."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pixprompt.adapters.sa2vp.attention import aligned_attention
from pixprompt.core import ConfigError, ShapeError

from ..backbones.vit_toy import seeded

Grid = tuple[int, int]


def drawn(query_grid: Grid, source_grid: Grid, prefix: int, *, counts=(2, 2), heads=2, width=4, dtype=torch.float64):
    """Queries, keys and values with a spread that makes the softmax uneven."""
    lengths = (prefix + math.prod(query_grid), *[prefix + math.prod(source_grid)] * 2)
    many = (counts[0], counts[1], counts[1])
    return [
        torch.randn(count, heads, length, width, generator=seeded(place), dtype=dtype)
        for place, (count, length) in enumerate(zip(many, lengths, strict=True))
    ]


def attend(rows, query_grid: Grid, source_grid: Grid, prefix: int, window: int | None) -> Tensor:
    return aligned_attention(*rows, query_grid=query_grid, source_grid=source_grid, num_prefix=prefix, window=window)


def sees(query: int, source: int, query_grid: Grid, source_grid: Grid, prefix: int, window: int) -> bool:
    """Whether a query row sees a source row."""
    if query < prefix:
        return True
    if source < prefix:
        return False
    asking = divmod(query - prefix, query_grid[1])
    row = divmod(source - prefix, source_grid[1])
    places = [math.floor((at + 0.5) * of / own) for at, own, of in zip(asking, query_grid, source_grid, strict=True)]
    return all(abs(there - place) <= window // 2 for there, place in zip(row, places, strict=True))


def looped(rows, query_grid: Grid, source_grid: Grid, prefix: int, window: int) -> Tensor:
    """One query after the other, with the list of what it sees."""
    queries, keys, values = rows
    count = max(len(queries), len(keys))
    queries, keys, values = (one.expand(count, -1, -1, -1) for one in (queries, keys, values))
    results = torch.zeros(*queries.shape[:3], values.shape[3], dtype=queries.dtype)
    for query in range(queries.shape[2]):
        in_reach = [i for i in range(keys.shape[2]) if sees(query, i, query_grid, source_grid, prefix, window)]
        for image, head in itertools.product(range(count), range(queries.shape[1])):
            scores = keys[image, head, in_reach] @ queries[image, head, query] / math.sqrt(queries.shape[3])
            results[image, head, query] = scores.softmax(0) @ values[image, head, in_reach]
    return results


def masked(rows, query_grid: Grid, source_grid: Grid, prefix: int, window: int) -> Tensor:
    """All pairs, most of them masked."""
    count, asking, query = max(map(len, rows)), range(rows[0].shape[2]), range(rows[1].shape[2])
    mask = torch.tensor([[sees(i, j, query_grid, source_grid, prefix, window) for j in query] for i in asking])
    return F.scaled_dot_product_attention(*(one.expand(count, -1, -1, -1) for one in rows), attn_mask=mask)


CASES = [  # grids of queries and sources, prefix, window
    ((4, 4), (4, 4), 1, 3),
    ((3, 5), (3, 5), 2, 3),
    ((5, 1), (5, 1), 1, 1),
    ((6, 5), (6, 5), 0, 5),
    ((3, 3), (3, 3), 1, 7),
    ((1, 1), (1, 1), 1, 3),
    ((6, 6), (3, 3), 1, 3),
    ((3, 3), (6, 6), 1, 3),
    ((5, 4), (3, 7), 0, 3),
    ((2, 9), (9, 2), 2, 5),
    ((22, 3), (22, 3), 1, 3),  # large enough for tiles, some of unequal size
    ((3, 23), (3, 23), 0, 3),
    ((9, 8), (5, 3), 2, 5),
    ((3, 3), (6, 11), 1, 3),
]


@pytest.mark.parametrize(("query_grid", "source_grid", "prefix", "window"), CASES)
def test_it_is_the_plain_loop(query_grid, source_grid, prefix, window):
    rows = drawn(query_grid, source_grid, prefix)
    output = attend(rows, query_grid, source_grid, prefix, window)
    torch.testing.assert_close(output, looped(rows, query_grid, source_grid, prefix, window), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("query_grid", "source_grid", "prefix", "window"), CASES)
@pytest.mark.parametrize("counts", [(2, 2), (3, 1), (1, 3)])
def test_results_and_gradients_are_those_of_masked_attention(query_grid, source_grid, prefix, window, counts):
    rows = [one.requires_grad_() for one in drawn(query_grid, source_grid, prefix, counts=counts)]
    output = attend(rows, query_grid, source_grid, prefix, window)
    expected = masked(rows, query_grid, source_grid, prefix, window)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-13)
    arriving = torch.randn(output.shape, generator=seeded(7), dtype=output.dtype)
    pairs = zip(torch.autograd.grad(output, rows, arriving), torch.autograd.grad(expected, rows, arriving), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("counts", [(2, 2), (2, 1), (1, 2)])
def test_gradients_are_finite_differences(counts):
    rows = [one.requires_grad_() for one in drawn((3, 2), (2, 3), 1, counts=counts, heads=1, width=2)]
    assert torch.autograd.gradcheck(lambda *options: attend(options, (3, 2), (2, 3), 1, 3), rows)


def test_keys_that_learn_nothing_need_no_gradient():
    rows = drawn((9, 8), (9, 8), 1)
    rows[0].requires_grad_()
    attend(rows, (9, 8), (9, 8), 1, 3).sum().backward()
    assert rows[0].grad is not None
    assert rows[1].grad is rows[2].grad is None


@pytest.mark.parametrize("prefix", [0, 1, 2])
@pytest.mark.parametrize("counts", [(2, 2), (3, 1), (1, 3)])
@pytest.mark.parametrize(("query_grid", "source_grid"), [((4, 5), (4, 5)), ((9, 8), (3, 5))])
def test_a_window_over_the_whole_map_is_global_attention(prefix, counts, query_grid, source_grid):
    rows = drawn(query_grid, source_grid, prefix, counts=counts)
    window = 2 * max(source_grid) - 1
    output = attend(rows, query_grid, source_grid, prefix, window)
    everywhere = attend(rows, query_grid, source_grid, prefix, None)
    torch.testing.assert_close(output, everywhere, rtol=0, atol=1e-12)
    smaller = attend(rows, query_grid, source_grid, prefix, 3)
    assert (smaller - everywhere)[:, :, prefix:].abs().max() > 0.1


def test_prefix_queries_see_all_rows_and_patches_no_prefix_with_and_without_a_window():
    rows = drawn((4, 4), (4, 4), 1)
    other = [rows[0], rows[1].clone(), rows[2].clone()]
    other[1][:, :, 0] += 1
    other[2][:, :, 0] += 1
    for window in (3, None):
        change = attend(other, (4, 4), (4, 4), 1, window) - attend(rows, (4, 4), (4, 4), 1, window)
        assert change[:, :, 0].abs().min() > 1e-3
        assert not change[:, :, 1:].any()
    plain = F.scaled_dot_product_attention(rows[0][:, :, :1], *rows[1:])
    torch.testing.assert_close(attend(rows, (4, 4), (4, 4), 1, 3)[:, :, :1], plain, rtol=0, atol=1e-13)


def padded(rows, grid: Grid, window: int) -> Tensor:
    """A variant that is wrong: keys of zeros around the map take part in the softmax."""
    queries, keys, values = rows
    reach, wider = window // 2, (grid[0] + window - 1, grid[1] + window - 1)

    def pad(one: Tensor) -> Tensor:
        return F.pad(one.unflatten(2, grid), (0, 0, reach, reach, reach, reach)).flatten(2, 3)

    far = torch.zeros(math.prod(grid), math.prod(wider), dtype=torch.bool)
    for query, source in itertools.product(range(far.shape[0]), range(far.shape[1])):
        (y, x), (i, j) = divmod(query, grid[1]), divmod(source, wider[1])
        far[query, source] = abs(i - reach - y) <= reach and abs(j - reach - x) <= reach
    return F.scaled_dot_product_attention(queries, pad(keys), pad(values), attn_mask=far)


def test_zeros_around_the_map_would_be_seen_at_the_borders_only():
    rows = drawn((5, 5), (5, 5), 0)
    change = (attend(rows, (5, 5), (5, 5), 0, 3) - padded(rows, (5, 5), 3)).unflatten(2, (5, 5)).abs()
    assert change[:, :, 1:-1, 1:-1].max() < 1e-13
    change[:, :, 1:-1, 1:-1] = math.inf
    assert change.amax(-1).min() > 1e-3


def test_a_prefix_key_that_patches_saw_would_be_noticed():
    rows = drawn((4, 4), (4, 4), 1)
    mask = torch.tensor([[sees(i, j, (4, 4), (4, 4), 1, 3) or j == 0 for j in range(17)] for i in range(17)])
    wrong = F.scaled_dot_product_attention(*rows, attn_mask=mask)
    change = (attend(rows, (4, 4), (4, 4), 1, 3) - wrong).abs().amax((0, 1, 3))
    assert change[0] < 1e-13
    assert change[1:].min() > 1e-2


@pytest.mark.parametrize("window", [3, None])
def test_an_image_is_the_same_alone_and_in_a_batch(window):
    rows = drawn((6, 6), (6, 6), 1, counts=(3, 3))
    whole = attend(rows, (6, 6), (6, 6), 1, window)
    alone = attend([one[1:2] for one in rows], (6, 6), (6, 6), 1, window)
    torch.testing.assert_close(whole[1:2], alone, rtol=0, atol=1e-14)


def test_training_works_behind_a_first_call_in_inference_mode():
    rows = drawn((13, 5), (5, 13), 0)  # grids that no other test has
    with torch.inference_mode():
        first = attend(rows, (13, 5), (5, 13), 0, 3).clone()
    rows[1].requires_grad_()
    result = attend(rows, (13, 5), (5, 13), 0, 3)
    result.square().sum().backward()
    assert torch.equal(result, first)
    assert rows[1].grad.any()


def test_a_second_derivative_is_refused_rather_than_wrong():
    rows = [one.requires_grad_() for one in drawn((9, 8), (9, 8), 0)]
    result = attend(rows, (9, 8), (9, 8), 0, 3).square().sum()
    gradient = torch.autograd.grad(result, rows[0], create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_values_may_have_another_width():
    rows = drawn((4, 4), (4, 4), 1)
    wide = torch.cat([rows[2], 2 * rows[2]], 3)
    output = attend([*rows[:2], wide], (4, 4), (4, 4), 1, 3)
    narrow = attend(rows, (4, 4), (4, 4), 1, 3)
    torch.testing.assert_close(output, torch.cat([narrow, 2 * narrow], 3), rtol=0, atol=1e-13)


@pytest.mark.parametrize("window", [3, None])
@pytest.mark.parametrize("whole_step", [False, True])
def test_autocast_computes_in_bf16_and_returns_gradients_of_the_inputs_type(window, whole_step):
    rows = [one.requires_grad_() for one in drawn((6, 6), (6, 6), 1, dtype=torch.float32)]
    expected = attend(rows, (6, 6), (6, 6), 1, window)
    arriving = torch.randn(expected.shape, generator=seeded(7))
    gradients = torch.autograd.grad(expected, rows, arriving)
    with torch.autocast("cpu", torch.bfloat16):
        output = attend(rows, (6, 6), (6, 6), 1, window)
        mine = torch.autograd.grad(output, rows, arriving.bfloat16()) if whole_step else None
    mine = mine or torch.autograd.grad(output, rows, arriving.bfloat16())  # as training loops do
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.05)
    for one, other in zip(mine, gradients, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), options=None):
        output = function(*args, **(options or {}))
        tensors = [one for one in tree_leaves(output) if torch.is_tensor(one)]
        self.numbers = max([self.numbers, *(one.untyped_storage().nbytes() // one.itemsize for one in tensors)])
        return output


def test_no_tensor_of_all_pairs_is_made_in_either_direction():
    rows = [one.requires_grad_() for one in drawn((64, 64), (64, 64), 1, counts=(1, 1), heads=1, width=8)]
    with Largest() as largest:
        attend(rows, (64, 64), (64, 64), 1, 3).sum().backward()
    assert largest.numbers == rows[0].numel()
    with Largest() as largest:  # the same rows as a map of 16 x 16 and nothing else
        masked([one[:, :, :257] for one in rows], (16, 16), (16, 16), 1, 3)
    assert largest.numbers >= 257**2 > rows[0].numel()


def test_what_is_kept_for_the_backward_pass_grows_with_the_map_and_not_with_its_square():
    def num_saved(side: int) -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        rows = drawn((side, side), (side, side), 0, counts=(1, 1), heads=1, width=8)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            result = attend([one.requires_grad_() for one in rows], (side, side), (side, side), 0, 3)
        del result
        return sum(sizes.values())

    # Queries, keys and values of width 8, and for each query 10 x 10 weights: a tile of 8 x 8 and one more around it.
    assert 8 * 64**2 * 3 * 8 < num_saved(64) <= 8 * 64**2 * (3 * 8 + 100)
    assert num_saved(64) < 4.3 * num_saved(32)


@pytest.mark.parametrize("window", [0, -1, 2, 4])
def test_a_window_without_a_middle_is_refused(window):
    with pytest.raises(ConfigError, match=f"odd number.*got {window}"):
        attend(drawn((4, 4), (4, 4), 0), (4, 4), (4, 4), 0, window)


@pytest.mark.parametrize("window", [3, None])
@pytest.mark.parametrize(
    ("shapes", "weights"),
    [
        ([(2, 2, 16, 4), (2, 2, 17, 4), (2, 2, 17, 4)], r"behind 1 prefix rows.*\(2, 2, 16, 4\)"),
        ([(2, 2, 17, 4), (2, 2, 16, 4), (2, 2, 16, 4)], r"\(m, heads, 17, d\)"),
        ([(2, 2, 17, 4), (2, 2, 17, 4), (2, 2, 16, 4)], "keys and values"),
        ([(2, 2, 17, 4), (2, 2, 17, 3), (2, 2, 17, 4)], r"\(2, 2, 17, 3\)"),
        ([(2, 2, 17, 4), (2, 1, 17, 4), (2, 1, 17, 4)], r"\(2, 1, 17, 4\)"),
        ([(2, 2, 17, 4), (3, 2, 17, 4), (3, 2, 17, 4)], "equal or one of them 1"),
        ([(2, 17, 8), (2, 17, 8), (2, 17, 8)], r"\(N, heads, rows, width\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(shapes, weights, window):
    with pytest.raises(ShapeError, match=weights):
        attend([torch.zeros(shape) for shape in shapes], (4, 4), (4, 4), 1, window)


@pytest.mark.parametrize(("grid", "prefix"), [((0, 4), 0), ((4, 4), -1)])
def test_empty_grids_and_negative_prefixes_are_refused(grid, prefix):
    with pytest.raises(ShapeError, match="grids of 1 x 1 or more and a prefix of 0 or more"):
        attend(drawn((4, 4), (4, 4), 0), grid, (4, 4), prefix, 3)
