"""LPIPS as the package of its authors computes it, and the diversity of data sets from pairs."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import pixprompt.diagnostics.features.lpips as module
from pixprompt.core import DataError, ModelError, RangeError, ShapeError
from pixprompt.data import from_arrays
from pixprompt.diagnostics.features.lpips import LPIPS, diversity, draw_pairs, load_lpips

from .toy import photo_set, picture_set

FILE = "weights/lpips_alex_v0.1.safetensors"


@cache
def real(assets: Path) -> LPIPS:
    return load_lpips(assets / FILE)


def random_net() -> LPIPS:
    net, generator = LPIPS(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - (0.0 if name.startswith("lin") else 0.5))
    return net.eval().requires_grad_(False)


def test_a_net_of_another_precision_is_used_as_it_is(tmp_path: Path) -> None:
    results = [
        diversity(picture_set(6, 1), net, generator=np.random.default_rng(0), cache=tmp_path, bootstrap=2)["mean"]
        for net in (random_net(), random_net().double())
    ]
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def noise(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def peer_net(assets: Path) -> Any:
    lpips = pytest.importorskip("lpips", reason="the package lpips is a peer of the tests")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision, about its old arguments
        net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    # AlexNet's own tensors cannot be downloaded; the file has them. The linear layers stay those of the package.
    slices = {name: tensor for part in (f"slice{n}" for n in range(1, 6))
              for name, tensor in getattr(net.net, part).named_parameters()}  # fmt: skip
    tensors = load_file(assets / FILE)
    for name, tensor in slices.items():
        tensor.data = tensors[f"features.{name}"]
    for number in range(5):
        assert torch.equal(tensors[f"lin{number}.weight"], getattr(net, f"lin{number}").model[1].weight)
    return net.eval()


@pytest.mark.assets
@pytest.mark.parametrize("size", [64, 97, 128])
def test_agrees_with_the_package_of_its_authors(assets: Path, size: int) -> None:
    theirs, ours = peer_net(assets), real(assets)
    images = photo_set(assets, "flowers5/test", 6)
    photos = torch.stack([
        torch.from_numpy(np.array(images.open(index).resize((size, size)))).permute(2, 0, 1).float() / 255
        for index in range(6)
    ])  # fmt: skip
    with torch.no_grad():
        expected = theirs(2 * photos[:3] - 1, 2 * photos[3:] - 1).flatten()
        unscaled = theirs(photos[:3], photos[3:]).flatten()  # negative control: what the package does to [0, 1]
    actual = ours(photos[:3], photos[3:])
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-7)
    assert (unscaled - expected).abs().max() > 1e-2
    assert expected.min() > 0.1


def test_a_distance_is_symmetric_zero_for_the_same_and_alone_as_in_a_batch() -> None:
    net, first, second = random_net(), noise(3, 64, 1), noise(3, 64, 2)
    result = net(first, second)
    torch.testing.assert_close(net(second, first), result)
    torch.testing.assert_close(net(first[1:2], second[1:2]), result[1:2], rtol=1e-5, atol=1e-7)
    assert net(first, first).abs().max() == 0
    assert result.min() > 0


@pytest.mark.parametrize(
    ("images", "message"),
    [(2 * noise(1, 64, 1) - 1, "min -"), (255 * noise(1, 64, 1), "max 25"), (noise(1, 64, 1).int(), "int32")],
)
def test_other_ranges_are_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        random_net()(images, images)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 63x63"):
        random_net()(noise(1, 32, 1), noise(1, 32, 1))
    with pytest.raises(ShapeError, match="one shape"):
        random_net()(noise(2, 64, 1), noise(1, 64, 1))


@pytest.mark.parametrize(("images", "pairs"), [(2, 5), (7, 21), (7, 10), (300, 2000), (100_000, 10_000)])
def test_pairs_are_distinct_unordered_and_of_different_images(images: int, pairs: int) -> None:
    chosen_pairs = draw_pairs(images, pairs, generator=np.random.default_rng(0))
    assert len(chosen_pairs) == min(pairs, images * (images - 1) // 2)
    assert (chosen_pairs[:, 0] < chosen_pairs[:, 1]).all()
    assert chosen_pairs.min() >= 0
    assert chosen_pairs.max() < images
    assert len({tuple(pair) for pair in chosen_pairs.tolist()}) == len(chosen_pairs)
    if len(chosen_pairs) == 2000:  # every image is as likely as any other
        counts = np.bincount(chosen_pairs.ravel(), minlength=images)
        assert abs(counts[:150].sum() - counts[150:].sum()) < 5 * np.sqrt(4000)


def test_pairs_at_the_corners_of_a_large_triangle() -> None:
    num = 3_000_000
    before = [larger * (larger - 1) // 2 for larger in (1, 2, 94_906_265 // 64, num - 1)]

    class Corners:
        def choice(self, total: int, size: int, replace: bool) -> np.ndarray:
            assert not replace
            return np.array([number - shift for number in before[1:] for shift in (1, 0)] + [total - 1])

    larger = [1, 2, 94_906_265 // 64 - 1, 94_906_265 // 64, num - 2, num - 1, num - 1]
    smaller = [0, 0, 94_906_265 // 64 - 2, 0, num - 3, 0, num - 2]
    pairs = draw_pairs(num, 7, generator=Corners())  # type: ignore[arg-type]
    assert pairs.tolist() == [list(pair) for pair in zip(smaller, larger, strict=True)]


def test_all_pairs_are_twice_the_variance_of_the_embeddings(tmp_path: Path) -> None:
    net, images = random_net(), picture_set(9, 1)
    result = diversity(images, net, generator=np.random.default_rng(0), pairs=1000, cache=tmp_path, bootstrap=50)
    assert (result["pairs"], result["images"], result["n"], result["canvas"][:5]) == (36, 9, 9, "64x64")
    from pixprompt.canvas import Canvas

    canvases = np.stack([Canvas((64, 64)).make(images.open(index)) for index in range(9)])
    with torch.no_grad():
        embedded = net.embed(torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255).double()
    assert result["mean"] == pytest.approx(2 * float(embedded.var(0).sum()), rel=1e-5)
    assert result["ci95"][0] < result["mean"] < result["ci95"][1]


def test_what_does_not_fit_in_memory_is_embedded_again_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"pairs": 40, "cache": tmp_path, "bootstrap": 20}
    whole = diversity(picture_set(30, 1), random_net(), generator=np.random.default_rng(3), **options)
    monkeypatch.setattr(module, "_MEMORY", 4 * 31872 * 7)
    parts = diversity(picture_set(30, 1), random_net(), generator=np.random.default_rng(3), **options)
    assert parts["mean"] == pytest.approx(whole["mean"], rel=1e-6)
    assert parts["ci95"] == pytest.approx(whole["ci95"], rel=1e-6)
    other = diversity(picture_set(30, 1), random_net(), generator=np.random.default_rng(4), **options)
    assert other["mean"] != pytest.approx(whole["mean"], rel=1e-9)


def test_the_interval_knows_that_pairs_share_images() -> None:
    """One odd image among twelve is in a sixth of the pairs: resampled pairs would promise three times too much."""
    places = draw_pairs(12, 66, generator=np.random.default_rng(0))
    distances = np.where((places == 0).any(1), 1.0, 0.1)
    ours = module.resampled_means(distances, places, 12, 2000, np.random.default_rng(1)).std()
    rng = np.random.default_rng(2)
    by_pairs = np.std([distances[rng.integers(0, 66, 66)].mean() for _ in range(2000)])
    # What it is to estimate: the spread over sets in which each image is odd with probability 1 / 12.
    truth = []
    for _ in range(4000):
        odd = rng.random(12) < 1 / 12
        truth.append(np.where(odd[places].any(1), 1.0, 0.1).mean())
    assert 0.6 * np.std(truth) < ours < 1.6 * np.std(truth)
    assert by_pairs < 0.4 * np.std(truth)  # negative control


def test_files_and_their_faults(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXPROMPT_LPIPS", raising=False)
    with pytest.raises(ModelError, match="no such file"):
        load_lpips(tmp_path / "none.safetensors")
    tensors = load_file(assets / FILE)
    save_file({**tensors, "lin2.weight": -tensors["lin2.weight"]}, tmp_path / "negative.safetensors")
    with pytest.raises(ModelError, match="negative weights"):
        load_lpips(tmp_path / "negative.safetensors")
    save_file({name: value for name, value in tensors.items() if "lin" not in name}, tmp_path / "half.safetensors")
    with pytest.raises(ModelError, match="missing"):
        load_lpips(tmp_path / "half.safetensors")
    monkeypatch.setenv("PIXPROMPT_LPIPS", str(assets / FILE))
    assert torch.equal(load_lpips().features[0].weight, tensors["features.0.weight"])
    # As the package publishes its layers, beside AlexNet with its classifier.
    published = {name.replace(".weight", ".model.1.weight") if "lin" in name else name: value
                 for name, value in tensors.items()}  # fmt: skip
    save_file({**published, "classifier.1.bias": torch.zeros(2)}, tmp_path / "published.safetensors")
    assert torch.equal(load_lpips(tmp_path / "published.safetensors").lin1.weight, tensors["lin1.weight"])


def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXPROMPT_LPIPS", raising=False)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="--lpips FILE"):
        load_lpips()


def test_a_pair_needs_two_images(tmp_path: Path) -> None:
    one = from_arrays(np.zeros((1, 4, 4, 3), np.uint8), [0], prefix="one")
    with pytest.raises(DataError, match="2 images, got 1"):
        diversity(one, random_net(), generator=np.random.default_rng(0), cache=tmp_path)


def test_three_images_have_no_interval(tmp_path: Path) -> None:
    """Resampled pairs of two or three images hardly vary: their interval would promise what nobody knows."""
    with pytest.raises(DataError, match="at least 4 images, got 3"):
        diversity(picture_set(3, 1), random_net(), generator=np.random.default_rng(0), cache=tmp_path)
    result = diversity(picture_set(4, 1), random_net(), generator=np.random.default_rng(0), cache=tmp_path)
    assert result["ci95"][0] < result["mean"] < result["ci95"][1]
