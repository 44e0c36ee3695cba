"""The library by hand: the scripts that show it, adapters as files, fits without a configuration, distances."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import pixprompt
from pixprompt.adapters import METHODS, WhiteBox, make_white_box
from pixprompt.core import ConfigError, PromptError, ShapeError
from pixprompt.engine.progress import Silent
from pixprompt.models import TorchModel
from pixprompt.outputs import Direct, SavedOutput, make_output
from pixprompt.templates import Add, Over, make_template

from .adapters.clip_toy import toy_clip
from .backbones.vit_toy import CLASSES, vit

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "own_loop.py": (["100"], "test accuracy"),
    "own_template.py": (["{}/prompt.png", "60"], "<Prompt cross"),
    "vpt_beside_pixels.py": (["{}/adapter.safetensors", "60"], "read back"),
    "paid_model.py": (["{}/run", "400"], "0.6 paid"),
}
WHITE_BOX = [name for name in METHODS.builtin() if METHODS[name].white_box]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_and_is_short(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, (arguments, expected) = ROOT / "experiments/by-hand" / name, SCRIPTS[name]
    assert len(path.read_text().splitlines()) < 40
    monkeypatch.setattr(sys, "argv", [str(path), *(argument.format(tmp_path) for argument in arguments)])
    with torch.random.fork_rng():  # their nets are drawn by torch itself
        runpy.run_path(str(path), run_name="__main__")
    assert expected in capsys.readouterr().out


def internal_imports(tree: ast.AST) -> Iterator[str]:
    """Modules of the package from which names are taken that are not public."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("pixprompt."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pixprompt":
            room = (node.module or "").removeprefix("pixprompt").removeprefix(".")
            public = getattr(pixprompt, room).__all__ if room in pixprompt.__all__ else ()
            if not {name.name for name in node.names} <= set(public if room else pixprompt.__all__):
                yield node.module or ""


def test_experiments_use_public_names_only() -> None:
    faults = {}
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        name = path.relative_to(ROOT / "experiments").as_posix()
        modules = set(internal_imports(ast.parse(path.read_text("utf-8"))))
        if modules:
            faults[name] = modules
    assert not faults


@pytest.mark.parametrize(
    ("line", "internal"),
    [
        ("from pixprompt import fit, data", False),
        ("from pixprompt.data import load_data", False),
        ("from pixprompt import lazy", True),
        ("from pixprompt.data import load", True),
        ("from pixprompt.data.canvases.cache import make_canvases", True),
        ("import pixprompt.engine", True),
        ("from pixprompt.engine.run import train", True),
    ],
)
def test_the_check_of_imports_sees_what_is_internal(line: str, internal: bool) -> None:
    assert bool(list(internal_imports(ast.parse(line)))) is internal


def pictures(count: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(1)) / 255


def labels(count: int = 12) -> np.ndarray:
    return np.arange(count) % len(CLASSES)


def white_box(method: str) -> WhiteBox:
    options = {"adaptformer": {"bottleneck": 4}, "vpt-deep": {"tokens": 3, "dropout": 0.0}}.get(method, {})
    return make_white_box(method, backbone(method), CLASSES, **options)


def backbone(method: str) -> TorchModel:
    return toy_clip() if method == "coop" else vit()


@pytest.mark.parametrize("method", WHITE_BOX)
def test_an_adapter_is_saved_without_its_backbone_and_read_back(method: str, tmp_path: Path) -> None:
    adapter, path = white_box(method), tmp_path / "adapter.safetensors"
    pixprompt.fit(adapter, (pictures(), labels()), epochs=1, batch_size=4)
    adapter.save(path)
    again = pixprompt.load_adapter(path, backbone(method))
    assert torch.equal(again(pictures()), adapter(pictures()))
    learned = sum(value.numel() * value.element_size() for value in adapter.state_dict().values())
    assert path.stat().st_size < learned + 8000
    other = backbone(method)
    with torch.no_grad():
        next(other.net.parameters()).add_(1)
    with pytest.raises(PromptError, match="other weights"):
        pixprompt.load_adapter(path, other)


@pytest.mark.parametrize("blend", [Add(start="normal"), Add(unit=(0.2, 0.3, 0.4)), Over(opacity=None)], ids=repr)
@pytest.mark.parametrize(("name", "place"), [("padding", None), ("patch", "5,3"), ("full", None)])
def test_a_pixel_prompt_is_saved_and_read_back(name: str, place: str | None, blend: Add | Over, tmp_path: Path) -> None:
    template = make_template(name, canvas_size=(32, 32), size=4, blend=blend, place=place)
    adapter = pixprompt.PixelPrompt(template, vit(), make_output("first-k", spec=vit().spec, classes=CLASSES))
    adapter.save(tmp_path / "adapter")
    again = pixprompt.load_adapter(tmp_path / "adapter", vit())
    assert torch.equal(again(pictures()), adapter(pictures()))


def test_a_prompt_on_a_model_that_answers_with_target_logits_is_saved_and_read_back(tmp_path: Path) -> None:
    template = make_template("padding", canvas_size=(32, 32), size=4, blend=Add(start="normal"))
    model = pixprompt.as_model(lambda images: images.mean((2, 3)), image_size=32, name="means")
    adapter = pixprompt.PixelPrompt(template, model, Direct(CLASSES))
    adapter.save(tmp_path / "adapter")
    expected = adapter(pictures())
    assert torch.equal(pixprompt.load_adapter(tmp_path / "adapter", model)(pictures()), expected)
    output = adapter.to_prompt().output
    assert np.array_equal(SavedOutput(output, model.spec)(expected.detach().numpy()), expected.detach().numpy())
    with pytest.raises(PromptError, match="do not give one logit for each of 3 classes"):
        SavedOutput(output, vit().spec)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(PromptError, match="missing"):
        pixprompt.load_adapter(path, vit())
    white_box("linear").save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PromptError, match="do not match their digest"):
        pixprompt.load_adapter(path, vit())
    path.write_bytes(b"torn")
    with pytest.raises(PromptError, match="damaged"):
        pixprompt.load_adapter(path, vit())


def test_a_fit_learns_keeps_the_best_epoch_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    split = (pictures(), labels())
    whole, parts = white_box("vpt-deep"), white_box("vpt-deep")
    fit_result = pixprompt.fit(whole, split, split, epochs=8, lr=0.02, batch_size=6)
    assert pixprompt.evaluate(whole, *split) == max(line["val_accuracy"] for line in fit_result.history)
    assert fit_result.history[-1]["train_loss"] < fit_result.history[0]["train_loss"]

    class Stops(Silent):
        def advance(self, steps: int = 1) -> None:
            if (tmp_path / "checkpoint").exists():
                raise KeyboardInterrupt

    settings = {"epochs": 8, "lr": 0.02, "batch_size": 6, "checkpoint": tmp_path / "checkpoint"}
    with pytest.raises(KeyboardInterrupt):
        pixprompt.fit(parts, split, split, reporter=Stops(), **settings)
    again = pixprompt.fit(white_box("vpt-deep"), split, split, **settings)
    assert [line["val_loss"] for line in again.history] == [line["val_loss"] for line in fit_result.history]


def test_an_optimiser_of_ones_own_is_used_and_nonsense_is_refused() -> None:
    adapter = white_box("linear")
    before = adapter.head.last.weight.clone()
    still = torch.optim.SGD(adapter.parameters(), lr=0.0)
    pixprompt.fit(adapter, (pictures(), labels()), epochs=1, optimizer=still)
    assert torch.equal(adapter.head.last.weight, before)
    with pytest.raises(ShapeError, match="N labels"):
        pixprompt.fit(adapter, (pictures(), labels(3)), epochs=1)
    with pytest.raises(ConfigError, match="epochs of at least 0"):
        pixprompt.fit(adapter, (pictures(), labels()), epochs=-1)
    with pytest.raises(ConfigError, match="Did you mean 'focal'"):
        pixprompt.fit(adapter, (pictures(), labels()), epochs=1, loss="focale")
    with pytest.raises(ConfigError, match="precision must be fp32, bf16 or auto, got 'fp23'"):
        pixprompt.fit(adapter, (pictures(), labels()), epochs=1, precision="fp23")
    with pytest.raises(ShapeError, match="no images to learn from"):
        pixprompt.fit(adapter, (np.zeros((0, 32, 32, 3), np.uint8), []), epochs=1)


def test_steps_in_bf16_learn_nearly_the_same() -> None:
    learned = []
    for precision in ("fp32", "bf16"):
        adapter = white_box("vpt-deep")
        pixprompt.fit(adapter, (pictures(), labels()), epochs=1, batch_size=6, precision=precision)
        learned.append(adapter(pictures()).detach())
    assert not torch.equal(*learned)
    torch.testing.assert_close(*learned, rtol=0.0, atol=0.05)


def test_distances_take_features_and_arrays() -> None:
    from pixprompt.diagnostics import Extractor, cmmd, fid, kid

    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(50, 8)), rng.normal(size=(60, 8)) + 1
    assert fid(near, near) == pytest.approx(0, abs=1e-8)
    assert fid(near, far) == pytest.approx(fid(far, near))
    assert fid(near, far) > 4
    for distance in (kid, cmmd):
        assert distance(near, far) > abs(distance(near, near))
    canvases = rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)

    def means(images: list[np.ndarray]) -> torch.Tensor:
        return torch.tensor(np.stack([image.mean((0, 1)) for image in images]), dtype=torch.float32)

    extractor = Extractor("means", "model", "", 3, None, "none", means)
    assert fid(canvases, 255 - canvases, extractor=extractor) > 0
    with pytest.raises(ShapeError, match="expected canvases"):
        fid(canvases[0], canvases, extractor=extractor)


def test_a_prompt_shows_itself() -> None:
    template = make_template("padding", canvas_size=(32, 32), size=4)
    prompt = pixprompt.PixelPrompt(
        template, vit(), make_output("first-k", spec=vit().spec, classes=CLASSES)
    ).to_prompt()
    assert repr(prompt) == "<Prompt padding, 1344 parameters, add on 32x32, for toy-timm>"
    assert prompt._repr_png_().startswith(b"\x89PNG")


def test_train_says_what_makes_a_model_and_names_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    config = pixprompt.TrainConfig().with_values(size=2, epochs=1, output="first-k", shots=2)
    with pytest.raises(ConfigError, match="as_model"):
        pixprompt.train(config, model=net)
    result = pixprompt.train(config, model=pixprompt.as_model(net, image_size=8, name="tiny"), progress=True)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("tiny-digits-pixel-")
    assert "train loss" in capsys.readouterr().err
    assert f"<td>{result.accuracy['prompt_png'].test:.3f}</td>" in result._repr_html_()
