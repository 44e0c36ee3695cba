"""What a report asks: never more than allowed, nothing of a model that may be paid for; maps that find the place."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixprompt.core import ModelError, PixpromptError
from pixprompt.engine import Silent
from pixprompt.models import as_model
from pixprompt.prompt import load
from pixprompt.report import ReportOptions, query_model, write_report
from pixprompt.report.embedding import tsne
from pixprompt.report.page.page import collect_evidence
from pixprompt.report.plan import Plan, plan_queries
from pixprompt.report.run_files import read_runs
from pixprompt.report.saliency.occlusion import occlusion, occlusion_queries

from ..cli.toy import Toy
from .html_check import read

NAME = "counting_model_of_the_report"


@pytest.fixture
def counting(toy_run: Toy, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module whose model only answers, and counts the images that it is asked about."""
    module = ModuleType(NAME)
    net = sys.modules[toy_run.module].net
    module.num_queries = 0

    def scores(images: Tensor) -> Tensor:
        module.num_queries += len(images)
        return torch.from_numpy(net(images).detach().numpy())

    module.scores = scores
    monkeypatch.setitem(sys.modules, NAME, module)
    return module


def options(queries: int | None, images: int = 300) -> ReportOptions:
    return ReportOptions(model=f"python:{NAME}:scores@16", device="cpu", images=images, queries=queries)


@pytest.mark.usefixtures("undrawn")
def test_a_model_that_may_cost_is_not_even_loaded_without_a_limit(run: Path, counting: ModuleType) -> None:
    page = write_report([run], out=run.parent / "r.html", options=options(None))
    assert counting.num_queries == 0
    assert page.queries == 0
    assert "--queries" in page.skipped["run"]["model"]
    assert "--queries" in (run.parent / "r.html").read_text("utf-8")


def test_a_model_in_hand_that_only_answers_needs_a_limit_too(run: Path, counting: ModuleType) -> None:
    model = as_model(counting.scores, image_size=(16, 16))
    counting.num_queries = 0
    evidence = collect_evidence(read_runs([run])[0], ReportOptions(model=model, device="cpu"), Silent())
    assert counting.num_queries == 0
    assert "its queries may cost" in evidence.skipped["model"]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 9, 75, 1000])
def test_the_limit_holds_and_what_was_asked_is_told(run: Path, counting: ModuleType, limit: int) -> None:
    evidence = collect_evidence(read_runs([run])[0], options(limit), Silent())
    assert counting.num_queries <= limit
    assert evidence.queries == counting.num_queries
    if limit >= 3:
        assert evidence.predictions is not None
    if limit >= 75:
        assert evidence.saliency is not None
        assert evidence.saliency.after.drops is not None
        assert f"It took {evidence.saliency.queries} queries" in evidence.saliency.method
        assert counting.num_queries == 1 + 2 * len(evidence.predictions.before) + evidence.saliency.queries
    else:
        assert evidence.saliency is None
        assert evidence.skipped


@pytest.mark.usefixtures("undrawn")
def test_the_limit_is_for_all_runs_together(run: Path, counting: ModuleType, toy_run: Toy) -> None:
    page = write_report([run, toy_run.folder / "run"], out=run.parent / "r.html", options=options(60))
    assert page.queries == counting.num_queries <= 60


@pytest.mark.usefixtures("undrawn")
def test_the_page_shows_occlusion_and_its_price(run: Path, counting: ModuleType) -> None:
    write_report([run], out=run.parent / "r.html", options=options(200))
    root = read((run.parent / "r.html").read_text("utf-8"))
    maps = next(node for node in root.all("section") if node.attributes["aria-labelledby"] == "saliency")
    assert "Occlusion: each of 7 × 7 patches" in maps.words
    assert "It took 98 queries" in maps.words
    assert "points lost" in maps.words


def test_maps_explain_the_shares_that_are_shown(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prompt the answers are read as they were then, also by the maps."""

    class Turned:
        def __init__(self, output: Any) -> None:
            self.output = output

        def __call__(self, outputs: Tensor) -> Tensor:
            return 0.5 * self.output(outputs).roll(1, dims=1)

        def to(self, device: str) -> Turned:
            return self

    def fails(*args: object) -> None:
        raise ModelError("none today")

    monkeypatch.setattr("pixprompt.report.saliency.maps.gradcam", fails)
    monkeypatch.setattr("pixprompt.report.saliency.maps.occlusion", calls := Kept())
    monkeypatch.setattr(
        query_model, "_own_output", lambda run, options, deployed, sample: (Turned(deployed.output), True)
    )
    evidence = collect_evidence(read_runs([run])[0], ReportOptions(device="cpu"), Silent())
    assert evidence.saliency is not None
    assert "none today" in evidence.saliency.method
    for shares, expected in calls.shares:
        torch.testing.assert_close(shares, expected)
    assert len(calls.shares) == 2


class Kept:
    """In place of `occlusion`: what it was told, and what the score that it was given says."""

    def __init__(self) -> None:
        self.shares: list[tuple[Tensor, Tensor]] = []

    def __call__(self, score: Any, images: Tensor, probabilities: Tensor, classes: Tensor, *, grid: int) -> Tensor:
        self.shares.append((probabilities, score(images).double().softmax(1).detach()))
        return torch.zeros(len(images), grid, grid)


@pytest.mark.usefixtures("undrawn")
def test_an_empty_prompt_is_not_asked_about_twice(run: Path, counting: ModuleType) -> None:
    prompt = load(run / "prompt.png")
    object.__setattr__(prompt, "rgba", np.zeros_like(prompt.rgba))
    prompt.save(run / "prompt.png")
    evidence = collect_evidence(read_runs([run])[0], options(200), Silent())
    assert evidence.predictions is not None
    assert evidence.saliency is not None
    assert counting.num_queries == evidence.queries == 1 + len(evidence.predictions.after) + evidence.saliency.queries


@pytest.mark.parametrize("by_gradient", [False, True])
def test_every_plan_stays_below_its_limit(by_gradient: bool) -> None:
    for limit in range(700):
        plan = plan_queries(50, limit, by_gradient=by_gradient)
        assert (plan is None) == (limit < 2)
        if plan is not None:
            maps = 2 * plan.pairs * (plan.grid**2 or 1)
            assert 1 <= plan.images <= 50
            assert 2 * plan.images + maps <= limit
    assert plan_queries(50, 700, by_gradient=False) == Plan(50, 3, 7, 600)
    assert plan_queries(50, None, by_gradient=True) == Plan(50, 6, 0)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("queries", "pays"), [(24, False), (200, True)])
def test_where_gradients_fail_the_remaining_queries_pay_for_occlusion(
    run: Path, monkeypatch: pytest.MonkeyPatch, queries: int, pays: bool
) -> None:
    def fails(*args: object) -> None:
        raise ModelError("none today")

    monkeypatch.setattr("pixprompt.report.saliency.maps.gradcam", fails)
    evidence = collect_evidence(read_runs([run])[0], ReportOptions(device="cpu", images=5, queries=queries), Silent())
    assert evidence.queries <= queries
    assert (evidence.saliency is not None) == pays
    assert "none today" in (evidence.saliency.method if evidence.saliency else evidence.skipped["saliency"])


def test_a_damaged_checkpoint_costs_the_answers_and_not_the_page(run: Path, counting: ModuleType) -> None:
    (run / "checkpoint").mkdir(exist_ok=True)
    (run / "checkpoint/plain.safetensors").write_bytes(b"x")
    evidence = collect_evidence(read_runs([run])[0], ReportOptions(device="cpu"), Silent())
    assert "damaged" in evidence.skipped["model"]
    assert evidence.sample is not None


# Occlusion -----------------------------------------------------------------------------------------------------------


def test_only_the_patch_that_matters_is_found() -> None:
    """The model looks at one patch of 4 x 4 and at nothing else; greying it costs a share that can be computed."""
    num_queries = 0

    def score(images: Tensor) -> Tensor:
        nonlocal num_queries
        num_queries += len(images)
        bright = images[:, :, 8:12, 4:8].mean(dim=(1, 2, 3))
        return torch.stack([bright, torch.zeros_like(bright)], dim=1)

    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.9
    before = images.clone()
    shares, classes = score(images).double().softmax(1), torch.zeros(3, dtype=torch.int64)
    num_queries = 0
    maps = occlusion(score, images, shares, classes, grid=4)
    assert num_queries == occlusion_queries(3, 4) == 48
    assert torch.equal(images, before)
    grey = torch.tensor(128 / 255, dtype=torch.float64).sigmoid()
    torch.testing.assert_close(maps[:, 2, 1].double(), shares[:, 0] - grey, atol=1e-6, rtol=0)
    maps[:, 2, 1] = 0
    assert maps.abs().max() < 1e-7
    against = occlusion(score, images, shares, classes + 1, grid=4)
    assert (against[:, 2, 1] < -0.05).all()  # the patch stands against the other class


def test_patches_cover_sizes_that_the_grid_does_not_divide() -> None:
    def score(images: Tensor) -> Tensor:
        grey = (images == 128 / 255).float().sum(dim=(1, 2, 3)) / 3
        return torch.stack([grey, torch.zeros_like(grey)], dim=1)

    images = torch.zeros(1, 3, 10, 7)
    lost = occlusion(score, images, torch.full((1, 2), 0.5), torch.zeros(1, dtype=torch.int64), grid=3)
    pixels = torch.logit((0.5 - lost).double())
    assert round(float(pixels.sum())) == 70  # every pixel is greyed once


# t-SNE ---------------------------------------------------------------------------------------------------------------


def test_groups_stay_groups_and_the_same_answers_give_the_same_points() -> None:
    pytest.importorskip("sklearn")
    labels = torch.arange(40) % 2
    answers = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) + 20.0 * labels[:, None]
    points = torch.from_numpy(tsne(answers))
    distances = torch.cdist(points, points).fill_diagonal_(float("inf"))
    assert torch.equal(labels[distances.argmin(1)], labels)
    assert torch.equal(torch.from_numpy(tsne(answers)), points)


@pytest.mark.parametrize("answers", [torch.rand(5, 4), torch.ones(30, 4), torch.ones(30, 1)])
def test_answers_that_make_no_picture_are_refused(answers: Tensor) -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(PixpromptError, match=r"at least 12 images|too much alike"):
        tsne(answers)
