"""The diagnosis object: what is in it, what each number is called, when it is null, and that draws hang on the seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixprompt.diagnostics.frechet as frechet_module
from pixprompt.canvas import Canvas
from pixprompt.core import DataError
from pixprompt.data import ImageSet
from pixprompt.diagnostics import measure as module
from pixprompt.diagnostics.features.extract import inception, open_clip
from pixprompt.diagnostics.features.lpips import load_lpips
from pixprompt.diagnostics.frechet import frechet_from_features
from pixprompt.diagnostics.kernels import CMMD, KID, mmd
from pixprompt.diagnostics.measure import MeasureSettings, measure

from .toy import Projection, photo_set, picture_set, pictures, toy_extractor

QUICK = MeasureSettings(seed=5, pairs=30, bootstrap=20, halves=2, subsets=4, subset_size=20)


def inception_like() -> Any:
    return toy_extractor(family="inception", name="inception-2015")


def clip_like() -> Any:
    return toy_extractor(family="clip", name="clip-toy")


def sets(num: int = 40, other: int = 50) -> tuple[ImageSet, ImageSet]:
    return picture_set(num, 1), picture_set(other, 2, list(range(other)))


def test_every_number_with_what_stands_beside_it(tmp_path: Path) -> None:
    calls: list[int] = []
    measures = measure(
        *sets(), extractors=[inception_like(), clip_like()], settings=QUICK, names=("folder:a", "b"), cache=tmp_path,
        on_image=lambda: calls.append(1),
    )  # fmt: skip
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures
    assert measures["schema"] == 1
    assert measures["data"] == {"name": "folder:a", "n": 40, "skipped": 0}
    assert len(calls) == 2 * (40 + 50)
    features = [toy_extractor()(pictures(40, 1)), toy_extractor()(pictures(50, 2))]
    assert measures["fid"]["value"] == pytest.approx(frechet_from_features(*features), rel=1e-5)
    assert measures["frechet_clip-toy"]["value"] == pytest.approx(measures["fid"]["value"], rel=1e-6)
    assert measures["kid"]["value"] == pytest.approx(mmd(*features, KID), rel=1e-4)
    assert measures["cmmd"]["value"] == pytest.approx(mmd(*features, CMMD), rel=1e-4)
    assert measures["cmmd"]["biased_value"] == pytest.approx(mmd(*features, CMMD, biased=True), rel=1e-4)
    assert measures["kid"]["subsets"]["size"] == 20
    assert "note" not in measures["kid"]["subsets"]
    for name in ("fid", "kid", "cmmd", "frechet_clip-toy"):
        number = measures[name]
        assert number["ci95"][0] < number["value"] < number["ci95"][1], name
        assert number["floor"] == max(one["value"] for one in number["floors"].values())
        assert number["floors"]["data"]["n"] == 20
        assert (number["n"], number["n_reference"]) == (40, 50)
        assert {"extractor", "weights_sha256", "resize", "dtype", "interval"} <= set(number), name
    assert measures["coverage"]["num_classes"] == 50
    assert measures["coverage"]["classes"] == measures["coverage"]["images"]  # one image per class
    assert measures["lpips"] is None
    assert measures["reasons"] == {"lpips": "no LPIPS weights were given"}


def test_only_inception_may_be_called_fid(tmp_path: Path) -> None:
    measures = measure(*sets(), extractors=[toy_extractor()], settings=QUICK, cache=tmp_path)
    assert measures["fid"] is None
    assert measures["kid"] is None
    assert measures["cmmd"] is None
    assert "Inception-2015" in measures["reasons"]["fid"]
    assert measures["headline"] == "frechet_toy"
    assert (measures["extractor"], measures["resize"]) == ("toy", "canvas 16x16")


def test_kid_leads_below_2048_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"extractors": [inception_like()], "settings": QUICK, "cache": tmp_path}
    small = measure(*sets(), **options)
    assert small["headline"] == "kid"
    assert small["fid"]["biased"] is True
    assert "2048 images" in small["fid"]["note"]
    assert module.BIASED_BELOW == 2048
    monkeypatch.setattr(module, "BIASED_BELOW", 40)
    large = measure(*sets(), **options)
    assert large["headline"] == "fid"
    assert large["fid"]["biased"] is False
    assert "note" not in large["fid"]
    one_small = measure(*sets(39), **options)  # either set is enough
    assert one_small["headline"] == "kid"


def test_large_sets_take_the_statistics_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"extractors": [inception_like()], "settings": QUICK, "cache": tmp_path}
    few = measure(*sets(), **options)["fid"]
    for place in (module, frechet_module, __import__("pixprompt.diagnostics.bootstrap", fromlist=["FEW"])):
        monkeypatch.setattr(place, "FEW", 4)
    many = measure(*sets(), **options)["fid"]
    assert (few["solver"], many["solver"]) == ("singular values", "symmetric eigenvalues")
    assert many["value"] == pytest.approx(few["value"], rel=1e-6)
    assert many["ci95"] == pytest.approx(few["ci95"], rel=1e-5)
    assert many["floors"]["data"]["repeats"] == 1
    names = sorted(path.name for path in (tmp_path / "diagnostics/statistics").iterdir())
    assert [name.partition("-")[0] for name in names] == ["data", "reference"]


def test_draws_hang_on_the_seed_and_not_on_what_else_is_asked(tmp_path: Path) -> None:
    def run(settings: MeasureSettings, *extractors: Any) -> dict[str, Any]:
        return measure(*sets(), extractors=extractors, settings=settings, cache=tmp_path)

    both, again = run(QUICK, inception_like(), clip_like()), run(QUICK, inception_like(), clip_like())
    assert both == again
    assert run(QUICK, clip_like())["cmmd"] == both["cmmd"]
    other = run(MeasureSettings(**{**vars(QUICK), "seed": 6}), inception_like())
    assert other["fid"]["value"] == both["fid"]["value"]
    assert other["fid"]["ci95"] != both["fid"]["ci95"]


def test_the_second_time_nothing_is_computed_again(tmp_path: Path) -> None:
    projection = Projection()
    extractor = toy_extractor(projection, family="inception")
    first = measure(*sets(), extractors=[extractor], settings=QUICK, cache=tmp_path)
    assert projection.images == 90
    assert measure(*sets(), extractors=[extractor], settings=QUICK, cache=tmp_path) == first
    assert projection.images == 90


def test_too_few_images_leave_a_reason_and_the_other_numbers(tmp_path: Path) -> None:
    measures = measure(*sets(3, 50), extractors=[inception_like()], settings=QUICK, cache=tmp_path,
                    missing={"cmmd": "left out as asked"})  # fmt: skip
    assert measures["fid"] is None
    assert "at least 4 images, the data has 3" in measures["reasons"]["fid"]
    assert measures["reasons"]["cmmd"] == "left out as asked"
    assert measures["coverage"] is not None
    with pytest.raises(DataError, match="no images"):
        measure(sets()[0].subset([]), sets()[1], extractors=[inception_like()], cache=tmp_path)


@pytest.mark.assets
def test_real_clip_and_lpips(assets: Path, tmp_path: Path) -> None:
    data, reference = photo_set(assets, "cifar10/test", 12), photo_set(assets, "imagenet-samples", 12)
    clip = open_clip(f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}")
    lpips = load_lpips(assets / "weights/lpips_alex_v0.1.safetensors")
    measures = measure(data, reference, extractors=[clip], lpips=lpips, settings=QUICK, cache=tmp_path)
    assert measures["headline"] == "cmmd"
    assert measures["cmmd"]["value"] > measures["cmmd"]["floor"]
    assert 0.2 < measures["lpips"]["mean"] < 0.9
    assert measures["lpips"]["pairs"] == 30
    assert measures["coverage"]["classes"] is None
    assert measures["reasons"].keys() == {"fid", "kid"}
    assert clip.canvas == Canvas((224, 224), resample=clip.canvas.resample, crop_pct=clip.canvas.crop_pct,
                                 aspect=clip.canvas.aspect)  # type: ignore[union-attr]  # fmt: skip


@pytest.mark.slow
@pytest.mark.assets
def test_real_inception_tells_photos_from_cifar(assets: Path, tmp_path: Path) -> None:
    data, reference = photo_set(assets, "cifar10/test", 64), photo_set(assets, "imagenet-samples", 64)
    flowers = photo_set(assets, "imagenet-samples", 200).subset(np.arange(1, 200, 3))
    extractor = inception()
    far = measure(data, reference, extractors=[extractor], settings=QUICK, cache=tmp_path)
    near = measure(flowers, reference, extractors=[extractor], settings=QUICK, cache=tmp_path)
    assert far["fid"]["value"] > 1.3 * near["fid"]["value"]
    assert far["kid"]["ci95"][0] > near["kid"]["ci95"][1]
    assert far["kid"]["value"] > 5 * far["kid"]["floor"]


def test_subsets_that_are_the_whole_set_say_so(tmp_path: Path) -> None:
    """Their deviation of 0 is none of KID."""
    measures = measure(*sets(20, 50), extractors=[inception_like()], settings=QUICK, cache=tmp_path)["kid"]["subsets"]
    assert "all images of the data," in measures["note"]
    measures = measure(*sets(20, 20), extractors=[inception_like()], settings=QUICK, cache=tmp_path)["kid"]["subsets"]
    assert measures["std"] == pytest.approx(0, abs=1e-9)
    assert "all images of the data and the reference" in measures["note"]


def test_classes_of_an_unlabelled_reference_are_null_with_the_reason(tmp_path: Path) -> None:
    measures = measure(picture_set(20, 1), picture_set(30, 2), extractors=[toy_extractor()], settings=QUICK,
                    cache=tmp_path)["coverage"]  # fmt: skip
    assert measures["classes"] is None
    assert "label" in measures["reason"]
