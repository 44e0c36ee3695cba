"""The diagnosis: what is asked of a model, what it costs, and that the numbers end up in the object and the advice."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pixprompt.core import Access, AnswerKind, ConfigError, ModelError, ModelSpec
from pixprompt.diagnose import model_check
from pixprompt.diagnose.model_check import check_model, images_per_class
from pixprompt.diagnose.run import NONE, diagnose, evidence_from
from pixprompt.diagnostics.gain import published_diversity
from pixprompt.diagnostics.measure import MeasureSettings
from pixprompt.engine import Silent
from pixprompt.models import DirectQuerier, as_model

from ..diagnostics.toy import toy_extractor

diagnose_module = importlib.import_module("pixprompt.diagnose.run")
QUICK = MeasureSettings(bootstrap=10, halves=2, subsets=3)
NOTHING = {"inception_file": NONE, "lpips_file": NONE, "workers": 0}


@dataclass
class Scores:
    """A model that only answers: the mean colour in a fixed random frame, so that a head reads more than a mapping."""

    labels: tuple[str, ...] | None = None
    access: Access = Access.SCORES
    num_queries: int = 0
    pixels: float = 0.0

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec("scores", (16, 16), 6, AnswerKind.LOGITS, self.labels)

    def __call__(self, images: Tensor) -> Tensor:
        self.num_queries += len(images)
        self.pixels += float(images.double().sum())
        means = images.mean((2, 3)) - 0.3
        stripes = (images[:, :, ::2] - images[:, :, 1::2]).mean((1, 2, 3))[:, None]
        turn = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
        return 9 * torch.cat([means, stripes], 1) @ turn


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Three kinds of noisy pictures, on disk."""
    rng = np.random.default_rng(0)
    for index in range(75):
        pixels = rng.integers(0, 120, (16, 16, 3))
        label = index % 3
        if label == 2:
            pixels[::2] += 60
        else:
            pixels[..., label] += 60
        path = tmp_path / "images" / ("red", "green", "striped")[label] / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return f"folder:{tmp_path / 'images'}"


@pytest.fixture
def quick_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of one strength, where a test is not about how good they are: the choice takes most of a check's time."""
    monkeypatch.setattr("pixprompt.outputs.linear.head.choose_strength", lambda *args, **options: 0.01)


# The model -----------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_about_as_many_images_as_reported(data: Any) -> None:
    model = Scores()
    check = check_model(DirectQuerier(model), data, labelled=4, reporter=Silent())
    assert model.num_queries == check.queries == check.images == 12
    assert (check.classes, check.train, check.gradients) == (3, 60, False)
    assert check.ci95[0] <= check.accuracy <= check.ci95[1]
    assert check.head_ci95[0] <= check.head <= check.head_ci95[1]
    assert check.known_names is None
    json.dumps(check.to_json())


def test_the_head_is_scored_on_images_that_it_has_not_seen(data: Any) -> None:
    """Answers of pure noise: a head fits them by heart, and cross-validation shows that it learned nothing."""

    class Noise(Scores):
        def __call__(self, images: Tensor) -> Tensor:
            seeds = (images.double().sum((1, 2, 3)) * 1e4).long().tolist()
            return torch.stack([torch.randn(6, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

    check = check_model(DirectQuerier(Noise()), data, labelled=15, reporter=Silent())
    assert check.head < 0.6
    assert (
        check_model(DirectQuerier(Scores()), data, labelled=4, reporter=Silent()).head > 0.8
    )  # there is something to learn there


@pytest.mark.usefixtures("quick_heads")
def test_seeds_choose_the_images(data: Any) -> None:
    calls = []
    for seed in (0, 0, 1):
        model = Scores()
        check_model(DirectQuerier(model), data, labelled=2, seed=seed, reporter=Silent())
        calls.append(model.pixels)
    assert calls[0] == calls[1]
    assert calls[0] != calls[2]


@pytest.mark.parametrize(
    ("labelled", "budget", "expected"), [(10, None, 10), (10, 30, 10), (10, 14, 4), (10, 6, 2), (2, 1000, 2)]
)
def test_the_budget_limits_what_is_asked(labelled: int, budget: int | None, expected: int) -> None:
    assert images_per_class(labelled, budget, 3) == expected


@pytest.mark.parametrize(("labelled", "budget", "words"), [(10, 5, "budget of 5"), (1, None, "--labelled 1")])
def test_too_few_images_are_refused_before_anything_is_asked(
    labelled: int, budget: int | None, words: str, data: Any
) -> None:
    model = Scores()
    with pytest.raises(ConfigError, match=rf"{words}.* 6 queries"):
        check_model(DirectQuerier(model), data, labelled=labelled, budget=budget, reporter=Silent())
    assert model.num_queries == 0


@pytest.mark.parametrize(
    ("labels", "share"),
    [
        (("crimson, red", "emerald green", "striped shirt", "x", "y", "z"), 2 / 3),
        (("redwood", "greenery", "x", "y", "z", "unstriped"), 0.0),
        (("paint for red", "man-in-green", "x", "y", "z", "striped of late"), 1 / 3),
        (("Red", "light_green", "boldly-striped", "x", "y", "z"), 1.0),
    ],
)
def test_names_that_the_model_knows(labels: tuple[str, ...], share: float, data: Any) -> None:
    assert model_check.share_known_by_label(data.classes, labels) == pytest.approx(share)


@pytest.mark.usefixtures("quick_heads")
def test_a_torch_model_has_gradients_and_a_callable_without_tensors_counts_its_probes(model: Any, data: Any) -> None:
    assert check_model(DirectQuerier(model), data, labelled=2, reporter=Silent()).gradients

    def answer(image: Image.Image) -> dict[str, float]:
        red, green, _ = np.asarray(image).reshape(-1, 3).mean(0) / 255
        return {"red": red, "green": green, "other": 1 - red - green}

    opaque = as_model(answer, image_size=16, takes="image", name="answer")
    check = check_model(DirectQuerier(opaque), data, labelled=4, reporter=Silent())
    assert not check.gradients
    assert check.images == 12
    assert check.queries == 12 + opaque.probe_queries
    assert opaque.probe_queries == 1
    assert (
        check_model(DirectQuerier(opaque), data, labelled=4, budget=12, reporter=Silent()).queries == 9 + 1
    )  # not 12 + 1
    with pytest.raises(ConfigError, match=r"budget of 6 queries, 1 of them spent .*, gives 1 images"):
        check_model(DirectQuerier(opaque), data, labelled=4, budget=6, reporter=Silent())


@pytest.mark.usefixtures("quick_heads")
def test_names_that_the_model_answers_with_compete(data: Any) -> None:
    """A model that names the classes itself is right without anything learned."""

    class Named(Scores):
        def __call__(self, images: Tensor) -> Tensor:
            red, green, blue = images.mean((2, 3)).T
            stripes = (images[:, :, ::2] - images[:, :, 1::2]).mean((1, 2, 3))
            return 9 * torch.stack([red - (green + blue) / 2, green - blue, stripes, *(red - 9,) * 3], 1)

    check = check_model(DirectQuerier(Named((*data.classes, "x", "y", "z"))), data, labelled=2, reporter=Silent())
    assert (check.output, check.known_names) == ("names", 1.0)
    assert check_model(DirectQuerier(Named(tuple("abcdef"))), data, labelled=2, reporter=Silent()).output != "names"


# The object ----------------------------------------------------------------------------------------------------------


def test_the_object_has_the_form_of_the_interface(folder: str, tmp_path: Path, monkeypatch: Any) -> None:
    extractor = toy_extractor(family="inception", name="inception-2015")
    monkeypatch.setattr(diagnose_module, "inception", lambda file, device: extractor)
    out = tmp_path / "run" / "diagnosis.json"
    diagnosis = diagnose(
        folder, folder, model=Scores(), lpips_file=NONE, settings=QUICK, limit=40, budget=100, workers=0, out=out
    )
    assert json.loads(out.read_text()) == json.loads(json.dumps(diagnosis))
    assert diagnosis["schema"] == 1
    assert diagnosis["data"]["name"] == diagnosis["reference"]["name"] == folder
    assert diagnosis["data"]["n"] == 40
    assert diagnosis["extractor"] == "inception-2015"
    for name in ("fid", "kid"):
        assert {"value", "ci95", "floor", "n", "resize", "dtype"} <= diagnosis[name].keys()
    assert diagnosis["cmmd"] is None
    assert diagnosis["lpips"] is None
    assert diagnosis["reasons"].keys() == {"cmmd", "lpips"}
    assert diagnosis["model"]["queries"] == 30
    assert diagnosis["advice"]["verdict"] in ("go", "try", "no-go", "unknown")
    assert any("KID" in reason for reason in diagnosis["advice"]["reasons"])
    # Scores only, and 70 queries left: no race of views opens.
    assert diagnosis["advice"]["verdict"] == "no-go"
    assert "with 70 queries labelled answers buy more" in diagnosis["advice"]["reasons"][0]


def test_weights_that_cannot_be_used_are_told_before_the_model_is_asked(folder: str) -> None:
    model = Scores()
    with pytest.raises(ModelError, match=r"nowhere\.pt"):
        diagnose(folder, folder, model=model, inception_file="nowhere.pt", lpips_file=NONE, workers=0)
    assert model.num_queries == 0


@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_class_folders_of_the_reference_give_the_coverage_of_classes(
    prefix: str, folder: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(diagnose_module, "inception", lambda file, device: toy_extractor(family="inception"))
    path = Path(folder.removeprefix("folder:"))
    red, every = f"{prefix}{path / 'red'}", f"{prefix}{path}"
    options: dict[str, Any] = {"lpips_file": NONE, "settings": QUICK, "workers": 0}
    diagnosis = diagnose(red, every, **options)["coverage"]
    assert (diagnosis["classes"], diagnosis["num_classes"]) == (
        pytest.approx(1 / 3),
        3,
    )  # each image is its own nearest
    diagnosis = diagnose(every, red, **options)["coverage"]
    assert diagnosis["classes"] is None
    assert "label" in diagnosis["reason"]


def test_same_seed_same_diagnosis(folder: str) -> None:
    diagnoses = [diagnose(folder, folder, model=Scores(), labelled=3, settings=QUICK, **NOTHING) for _ in range(2)]
    for result in diagnoses:
        del result["seconds"], result["peak_memory_mb"]
    assert diagnoses[0] == diagnoses[1]


def test_without_a_model_the_sets_need_no_labels(tmp_path: Path) -> None:
    for name, count in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        for index in range(count):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / name / f"{index}.png")
    diagnosis = diagnose(str(tmp_path / "a"), f"folder:{tmp_path / 'b'}", **NOTHING)
    assert (diagnosis["data"]["n"], diagnosis["reference"]["n"], diagnosis["model"]) == (3, 4, None)
    assert {"fid", "kid", "cmmd", "lpips", "coverage", "model"} == diagnosis["reasons"].keys()
    assert diagnosis["advice"]["verdict"] == "unknown"
    assert diagnosis["advice"]["queries"] is None
    assert "--model NAME" in diagnosis["advice"]["reasons"][0]
    assert diagnosis["advice"]["line"] == "prior"


def test_a_gradient_model_is_advised_with_the_queries_of_a_run(folder: str, net: nn.Module) -> None:
    model = as_model(net, image_size=(16, 16), name="toy-net")
    diagnosis = diagnose(folder, folder, model=model, settings=QUICK, labelled=4, **NOTHING)
    assert diagnosis["model"]["gradients"]
    assert diagnosis["advice"]["queries"] in (
        None,
        4 * (48 + 12),
    )  # epochs x (train + val): 75 images, a fifth for test


def test_what_was_asked_for_by_name_must_work_and_what_was_not_may_be_missing(
    folder: str, tmp_path: Path, monkeypatch: Any
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"nothing")
    with pytest.raises(ModelError):
        diagnose(folder, folder, inception_file=str(wrong), lpips_file=NONE)

    def none(*args: Any, **kwargs: Any) -> None:
        raise ModelError("no weights anywhere")

    monkeypatch.setattr(diagnose_module, "inception", none)
    monkeypatch.setattr(diagnose_module, "load_lpips", none)
    diagnosis = diagnose(folder, folder, workers=0)
    assert diagnosis["reasons"]["fid"] == diagnosis["reasons"]["lpips"] == "no weights anywhere"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"weights": "x"}, "--model"), ({"limit": 0}, "at least 1"), ({"model": Scores(), "budget": 5}, "budget of 5")],
)
def test_wrong_settings(folder: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        diagnose(folder, folder, **NOTHING, **options)


def test_evidence_takes_the_diversity_on_the_published_scale_only() -> None:
    lpips = {"mean": 0.5, "canvas": "64x64, bicubic with antialiasing, crop"}
    results: dict[str, Any] = {"model": None, "lpips": lpips, "headline": None, "extractor": None}
    assert evidence_from(results).diversity == published_diversity(0.5)
    results["lpips"] = {**lpips, "canvas": "128x128, bicubic with antialiasing, crop"}
    assert evidence_from(results).diversity is None
    results |= {
        "headline": "frechet_x",
        "extractor": "x",
        "frechet_x": {"value": 2.0, "ci95": [1.5, 2.5], "floor": 1.0},
    }
    assert evidence_from(results, budget=3).distance == ("Frechet distance in x", 2.0, 1.5, 1.0)
    assert replace(evidence_from(results, budget=3), budget=None) == evidence_from(results)
