"""Alignment of a map of prompts: closed forms, the salient token, the place that belongs to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixprompt.core import ConfigError
from pixprompt.report.figures.alignment import Alignment, aligned_places, cosines, measure_alignment, prompt_similarity

from .pictures_toy import GRID, Paired, tiny_model

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)


def images(count: int) -> torch.Tensor:
    return torch.from_numpy(PIXELS[:count]).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(
    ("of_images", "of_prompts", "expected"),
    [
        ((2, 3), (2, 3), [0, 1, 2, 3, 4, 5]),
        ((4, 4), (2, 2), [0, 0, 1, 1] * 2 + [2, 2, 3, 3] * 2),
        ((2, 2), (4, 4), [5, 7, 13, 15]),
        ((2, 4), (1, 2), [0, 0, 1, 1] * 2),
    ],
)
def test_the_prompt_at_the_place_of_a_token(of_images, of_prompts, expected) -> None:
    assert aligned_places(of_images, of_prompts).tolist() == expected


def test_cosines_are_those_of_every_pair_and_know_no_length() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 3, 5, generator=generator), torch.randn(1, 4, 5, generator=generator)
    actual = cosines(left, 7 * right)
    assert actual.shape == (2, 3, 4)
    expected = float(left[1, 2] @ right[0, 3] / (left[1, 2].norm() * right[0, 3].norm()))
    assert float(actual[1, 2, 3]) == pytest.approx(expected, abs=1e-6)


class Basis(Paired):
    """Sixteen orthonormal tokens, the same in every image."""

    equal = False

    def states(self, images):
        state = super().states(images)
        tokens = torch.eye(16).expand(len(images), -1, -1)
        prompts = torch.ones(1, 16, 16) if self.equal else tokens[:1].roll(self.shift, 1)
        return type(state)((tokens, tokens), (prompts, prompts), state.grids, state.layers)


def test_orthogonal_tokens_have_a_margin_that_can_be_written_down() -> None:
    at_place, moved, equal = Basis(tiny_model()), Basis(tiny_model(), shift=1), Basis(tiny_model())
    equal.equal = True
    assert measure_alignment(at_place, PIXELS, "cpu") == [
        Alignment(layer, pytest.approx(15 / 16), 1.0) for layer in (0, 2)
    ]
    # One of the other 15 is ahead, and 14 share the aligned one's similarity of 0.
    alignment = Alignment(0, pytest.approx(-1 / 16), pytest.approx(7 / 15))
    assert measure_alignment(moved, PIXELS, "cpu")[0] == alignment
    assert measure_alignment(equal, PIXELS, "cpu")[0] == Alignment(0, pytest.approx(0, abs=1e-6), 0.5)


def test_the_mean_is_over_all_images_whatever_the_batches() -> None:
    adapter = Paired(tiny_model(), shift=3)
    each = [measure_alignment(adapter, PIXELS[number : number + 1], "cpu")[0].margin for number in range(len(PIXELS))]
    assert np.std(each) > 1e-3
    assert measure_alignment(adapter, PIXELS, "cpu")[0].margin == pytest.approx(np.mean(each), abs=1e-6)


def test_moved_prompts_are_seen_to_be_out_of_place() -> None:
    straight, moved = (measure_alignment(Paired(tiny_model(), shift=shift), PIXELS, "cpu")[0] for shift in (0, 5))
    assert straight.percentile == 1.0
    assert straight.margin > moved.margin + 0.2
    assert 0.2 < moved.percentile < 0.8


def test_the_token_under_the_peak_is_compared_with_the_whole_map() -> None:
    adapter, maps = Paired(tiny_model(), shift=5), np.zeros((3, 8, 8), dtype=np.float32)
    maps[0, 7, 0], maps[1, 2, 5] = 1, 1  # in a grid twice as fine: tokens (3, 0) and (1, 2); none in the third
    actual = prompt_similarity(adapter, images(3), maps)
    states = adapter.states(images(3))
    largest = int(states.images[1][2].norm(dim=-1).argmax())
    assert actual.layer == 2
    assert actual.tokens.tolist() == [[3, 0], [1, 2], [largest // 4, largest % 4]]
    assert actual.aligned.tolist() == actual.tokens.tolist()
    expected = cosines(states.images[1], states.prompts[1])[1, 1 * 4 + 2].reshape(GRID)
    np.testing.assert_allclose(actual.maps[1], expected.numpy(), atol=1e-6)
    # Prompts were moved on by five places, so the token finds itself there: 1 * 4 + 2 + 5 = 11.
    assert np.unravel_index(int(actual.maps[1].argmax()), GRID) == (2, 3)


def test_without_a_map_the_longest_token_is_taken() -> None:
    adapter = Paired(tiny_model())
    norms = adapter.states(images(2)).images[0].norm(dim=-1)
    result = prompt_similarity(adapter, images(2), None, layer=0)
    assert (result.tokens @ [4, 1]).tolist() == norms.argmax(1).tolist()
    assert result.layer == 0


def test_a_layer_without_interaction_is_refused() -> None:
    with pytest.raises(ConfigError, match="layer 1; they do at 0, 2"):
        prompt_similarity(Paired(tiny_model()), images(1), None, layer=1)
