"""Runs by answers alone: a budget that holds, "none" that competes, a file that equals memory, exact resume."""

import numpy as np
import pytest
import torch

from pixprompt import load
from pixprompt.core import BudgetError, ConfigError
from pixprompt.engine import TrainConfig, evaluate, plan, train
from pixprompt.engine.parts import build
from pixprompt.models import as_model
from pixprompt.optimizers import QUERY_OPTIMIZERS

from .toy import Closed, history, numbers


@pytest.fixture
def closed(model) -> Closed:
    return Closed(model)


@pytest.fixture
def config() -> TrainConfig:
    return TrainConfig(model="toy-net", data="toy", size=4, budget=1500, basis="blocks", basis_size=4, output="blm")


@pytest.mark.usefixtures("drawn")
def test_a_model_without_gradients_learns_from_answers(config, closed, data, tmp_path) -> None:
    result = train(config, out=tmp_path / "run", model=closed, data=data)
    assert closed.images == result.queries["images"] <= 1500
    assert result.queries["plan"]["search"] > 0
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "README.md",
        "config.json", "curves.png", "history.jsonl", "ledger.sqlite", "preview.png", "prompt.png", "result.json",
    }  # fmt: skip
    only, png = result.accuracy["output_only"], result.accuracy["prompt_png"]
    assert png.val >= only.val


@pytest.mark.parametrize("budget", [0, 1, 7, 60, 133, 400, 901])
def test_a_budget_is_never_exceeded(budget, config, closed, data, tmp_path) -> None:
    result = train(config.with_values(budget=budget), out=tmp_path / "run", model=closed, data=data)
    assert closed.images == result.queries["images"] <= budget
    assert sum(v for k, v in result.queries["plan"].items() if k != "total") <= budget


def test_money_is_a_budget(config, closed, data, tmp_path) -> None:
    config = config.with_values(budget=None, max_cost=0.5, price_per_1000=2.0)
    result = train(config, out=tmp_path / "run", model=closed, data=data)
    assert closed.images <= 250
    assert result.queries["cost"] == pytest.approx(closed.images * 0.002)
    with pytest.raises(ConfigError, match="--price-per-1000"):
        build(config.with_values(price_per_1000=None), model=closed, data=data)


def test_small_budgets_go_into_the_output_transform(config, closed, data, tmp_path) -> None:
    result = train(config.with_values(budget=80), out=tmp_path / "run", model=closed, data=data)
    assert result.best == "none"
    assert result.queries["plan"]["search"] == 0
    assert "fewer queries than a search needs" in " ".join(result.notes)


def test_the_dry_run_says_what_will_be_asked(config, closed, data) -> None:
    planned = plan(build(config, model=closed, data=data))
    assert closed.images == 0
    assert planned["queries"]["total"] == sum(v for k, v in planned["queries"].items() if k != "total") <= 1500
    assert planned["queries"]["head"] == len(data.train)


@pytest.mark.parametrize("optimizer", list(QUERY_OPTIMIZERS))
def test_every_optimizer_runs(optimizer, config, closed, data, tmp_path) -> None:
    result = train(config.with_values(optimizer=optimizer), out=tmp_path / "run", model=closed, data=data)
    assert closed.images <= 1500
    assert all(np.isfinite(line["val_loss"]) for line in history(tmp_path / "run"))
    assert result.accuracy["prompt_png"].val >= result.accuracy["output_only"].val


@pytest.mark.parametrize(
    "values", [{"blend": "over", "start": "normal"}, {"fit": "shrink", "basis": "low-rank", "basis_size": 1},
               {"template": "patch", "size": 6, "basis": "pixels", "basis_size": None},
               {"method": "bar", "basis": None, "basis_size": None}]
)  # fmt: skip
def test_file_equals_memory(values, config, closed, data, tmp_path) -> None:
    """Through the file re-read, every answer is one that was given already: nothing is asked again."""
    config = config.with_values(**values, budget=1800, test_images=20)
    result = train(config, out=tmp_path / "run", model=closed, data=data)
    scores = result.accuracy
    assert result.max_pixel_difference in (None, 0)
    if result.best == "prompt":
        assert scores["prompt_png"] == scores["prompt_float"]
    assert closed.images == result.queries["images"]


def test_a_prompt_is_found_where_it_helps(config, data, tmp_path) -> None:
    """The model sees the frame's corner alone decide between its two answers: only a prompt makes it speak."""

    def speaks(images: torch.Tensor) -> torch.Tensor:
        open_eye = images[:, :, :4, :4].mean((1, 2, 3)) > 0.7
        red = images[:, 0, 4:-4, 4:-4].mean((1, 2)) - images[:, 1, 4:-4, 4:-4].mean((1, 2))
        scores = torch.where(open_eye, red * 20, torch.zeros(len(images)))
        return torch.stack([scores, -scores, torch.zeros(len(images))], 1)

    model = Closed(as_model(speaks, image_size=(16, 16)))
    result = train(config.with_values(budget=2500), out=tmp_path / "run", model=model, data=data)
    assert result.best == "prompt"
    assert result.accuracy["prompt_png"].val > result.accuracy["output_only"].val + 0.3
    scored = evaluate(tmp_path / "run" / "prompt.png", model=model, data=data)
    assert scored.accuracy["prompt_png"].val == pytest.approx(result.accuracy["prompt_png"].val, abs=0.15)
    assert load(tmp_path / "run" / "prompt.png").template["name"] == "padding"


def test_none_is_kept_where_prompts_only_harm(config, data, tmp_path) -> None:
    def fragile(images: torch.Tensor) -> torch.Tensor:
        clean = images[:, :, 4:-4, 4:-4].mean((2, 3))
        dirt = (images[:, :, :2].mean((1, 2, 3)) - 0.27).abs() > 0.1
        return torch.where(dirt[:, None], torch.zeros_like(clean), clean * 30)

    result = train(
        config.with_values(fit="resize"), out=tmp_path / "run", data=data,
        model=Closed(as_model(fragile, image_size=(16, 16))),
    )  # fmt: skip
    assert result.best == "none"
    assert load(tmp_path / "run" / "prompt.png").template["name"] == "none"


@pytest.mark.parametrize("at", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 15, 24))])
def test_an_interrupted_run_ends_as_if_it_never_was(at, config, model, data, wholes, tmp_path) -> None:
    folder, whole = wholes(config, model=Closed(model), data=data)
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", model=Closed(model, fails_at=at), data=data)
    again = Closed(model)
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, model=again, data=data)
    assert again.images < whole.queries["images"]
    expected, result = numbers(whole), numbers(result)
    expected.pop("queries"), result.pop("queries")
    assert result == expected
    assert history(tmp_path / "run") == history(folder)
    assert (tmp_path / "run" / "prompt.png").read_bytes() == (folder / "prompt.png").read_bytes()


def test_a_resumed_run_is_refused_other_images(config, closed, data, model, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "run", model=Closed(model, fails_at=4), data=data)
    other = type(data)("toy", data.classes, data.val, data.train, data.test)
    with pytest.raises(ConfigError, match="other images"):
        train(TrainConfig(), out=tmp_path / "run", resume=True, model=closed, data=other)


def test_same_seed_same_numbers_whatever_the_global_seed(config, model, data, tmp_path) -> None:
    results = []
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        results.append(numbers(train(config, out=tmp_path / name, model=Closed(model), data=data)))
    assert results[0] == results[1]


def test_answers_that_differ_are_noticed_and_averaged(config, model, data, wholes, tmp_path) -> None:
    class Noisy(Closed):
        generator = torch.Generator().manual_seed(0)

        def __call__(self, images):
            answers = super().__call__(images)
            return answers + 0.7 * answers.std() * torch.randn(answers.shape, generator=self.generator)

    noisy = Noisy(model)
    result = train(config.with_values(budget=3000), out=tmp_path / "run", model=noisy, data=data)
    assert "Answers to the same image differ" in " ".join(result.notes)
    assert noisy.images <= 3000
    _, quiet = wholes(config, model=Closed(model), data=data)
    assert "differ" not in " ".join(quiet.notes)


def test_a_model_that_changes_meanwhile_is_noticed(config, model, data, wholes, tmp_path) -> None:
    class Drifting(Closed):
        def __call__(self, images):
            answers = super().__call__(images)
            return answers if self.images < 600 else answers.roll(1, dims=1)

    result = train(config, out=tmp_path / "run", model=Drifting(model), data=data)
    assert "drifted" in " ".join(result.notes)
    _, steady = wholes(config, model=Closed(model), data=data)
    assert "drifted" not in " ".join(steady.notes)


def test_blackvip_has_no_png_and_exports_images(config, closed, data, tmp_path) -> None:
    from pixprompt.engine.saved.per_image_prompt import load_per_image

    config = config.with_values(method="blackvip", basis=None, basis_size=None, encoder="python:toy_encoder:net@16")
    (tmp_path / "toy_encoder.py").write_text(
        "import torch\n\ndef net(images):\n    return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        result = train(config, out=tmp_path / "run", model=closed, data=data)
        if result.best == "none":
            assert (tmp_path / "run" / "prompt.png").exists()
            return
        assert not (tmp_path / "run" / "prompt.png").exists()
        prompt = load_per_image(tmp_path / "run", device="cpu")
        canvases = np.stack([prompt.canvas.make(data.val.open(index)) for index in range(4)])
        assert np.array_equal(prompt.overlay(canvases)[2], prompt.overlay(canvases[2]))


def test_gradients_within_a_budget_are_counted_beforehand(config, model, data, tmp_path) -> None:
    config = config.with_values(optimizer="adam", basis=None, basis_size=None, epochs=2)
    with pytest.raises(ConfigError, match="budget is 100"):
        train(config.with_values(budget=100), out=tmp_path / "run", model=model, data=data)
    train(config.with_values(budget=5000), out=tmp_path / "run", model=model, data=data)


def test_a_run_ends_with_what_its_budget_paid_for(config, model, data, tmp_path) -> None:
    """What was on its way when a run was stopped is paid: there is less left, and the run makes do with it."""
    with pytest.raises(KeyboardInterrupt):
        train(config.with_values(budget=90), out=tmp_path / "run", model=Closed(model, fails_at=2), data=data)
    again = Closed(model)
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, model=again, data=data)
    assert result.queries["images"] <= 90
    assert result.counts["train"] + result.counts["val"] < 90


def test_a_budget_that_pays_for_nothing_says_so(config, model, data, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config.with_values(budget=20), out=tmp_path / "run", model=Closed(model, fails_at=1), data=data)
    with pytest.raises(BudgetError, match="left"):
        train(TrainConfig(), out=tmp_path / "run", resume=True, model=Closed(model), data=data)
    more = {"budget": 60}
    result = train(TrainConfig(), out=tmp_path / "run", resume=True, changes=more, model=Closed(model), data=data)
    assert result.queries["images"] <= 60
    assert result.counts["train"] > 0


@pytest.mark.parametrize(
    "budget", [0, 1, 2, 61, 300, *(pytest.param(n, marks=pytest.mark.slow) for n in (30, 100, 1100))]
)
def test_a_probe_is_paid_from_the_budget(budget, config, data, tmp_path) -> None:
    calls = []

    def shares(image):
        pixels = np.asarray(image, float).mean((0, 1))
        calls.append(1)
        return {"r": pixels[0] / pixels.sum(), "g": pixels[1] / pixels.sum(), "b": pixels[2] / pixels.sum()}

    model = as_model(shares, image_size=16, takes="image")
    config = config.with_values(budget=budget)
    if budget < 2:
        with pytest.raises(ConfigError, match="does not pay for one labelled answer"):
            train(config, out=tmp_path / "run", model=model, data=data)
        return
    result = train(config, out=tmp_path / "run", model=model, data=data)
    assert len(calls) == result.queries["images"] <= budget


def test_the_smaller_of_budget_and_money_counts(config, closed, data) -> None:
    config = config.with_values(budget=900, max_cost=0.1, price_per_1000=1.0)
    assert build(config, model=closed, data=data).config.search.budget == 100


@pytest.mark.parametrize(
    "values",
    [{"encoder": "resnet18"}, {"surrogate_weights": "w"}, {"mimic": "answers"}, {"preset": "vp"},
     {"method": "bar", "basis_size": 3}, {"optimizer": "adam", "sigma": 0.1},
     {"optimizer": "adam", "surrogate": "resnet18"}]
)  # fmt: skip
def test_settings_that_would_do_nothing_are_refused(values, config, model, data) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        build(TrainConfig(model="toy-net", data="toy", size=4, budget=900, **values), model=model, data=data)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.usefixtures("drawn")
def test_few_images_are_enough_to_run(count, config, closed, data, tmp_path) -> None:
    small = type(data)("toy", data.classes, data.train.subset(range(count)), data.val.subset([]), data.test.subset([0]))
    result = train(config.with_values(budget=300), out=tmp_path / "run", model=closed, data=small)
    assert result.best == "none"
    assert result.counts["val"] == 0


@pytest.mark.parametrize("is_billed", [True, False])
def test_a_prompt_that_is_not_kept_is_scored_where_nobody_bills_it(is_billed, config, closed, data, tmp_path) -> None:
    config = config.with_values(optimizer="spsa", lr=1e-6, sigma=1e-6)
    result = train(config, out=tmp_path / "run", model=closed if is_billed else closed.model, data=data)
    own = result.accuracy["prompt_float"]
    assert result.best == "none"
    assert (own.test is None) == is_billed
    assert result.queries["images"] <= 1500
