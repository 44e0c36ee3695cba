"""Methods, templates and output transforms of one's own: by module:name, and by the entry points of a package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from pixprompt.adapters import METHODS
from pixprompt.cli import main
from pixprompt.core import ConfigError, UnknownName
from pixprompt.engine import TrainConfig
from pixprompt.engine.config.train_config import run_config
from pixprompt.outputs import OUTPUTS
from pixprompt.registry import Registry
from pixprompt.templates import TEMPLATES

from .test_damaged_files import VIT
from .toy import Toy

CODE = '''
from dataclasses import dataclass

import torch

from pixprompt.adapters import BarPrompter, Learning, Method, MethodSettings
from pixprompt.adapters.method import RECIPE
from pixprompt.outputs.mapping import FirstK
from pixprompt.settings import option


class Cross:
    """The middle row and the middle column."""

    def __init__(self, size):
        self.size, self.frame = size, 0
        mask = torch.zeros(size, dtype=torch.bool)
        mask[size[0] // 2], mask[:, size[1] // 2] = True, True
        self._pixels = mask.flatten().nonzero().flatten()

    @classmethod
    def from_options(cls, canvas_size, size, place):
        return cls(canvas_size)

    @property
    def params(self):
        return {}

    @property
    def num_pixels(self):
        return len(self._pixels)

    def pixels(self, generator):
        return self._pixels


@dataclass(frozen=True, eq=False)
class Last(FirstK):
    """Class k reads source k of the last K."""

    def _logits(self, scores):
        return scores[:, -len(self.classes):]


@dataclass(frozen=True)
class TintSettings(MethodSettings):
    family = "tint"
    strength: float | None = option(None, "how strong the tint is", low=0)


class Tint(BarPrompter):
    def __init__(self, template, strength=1.0):
        super().__init__(template)
        self.strength = strength

    def theta(self, x):
        return super().theta(self.strength * x)


TINT = Method(
    "tint",
    "a tint, learned from answers",
    learning=Learning.ANSWERS,
    make=f"{__name__}:Tint",
    settings=TintSettings,
    file="prompt.png",
    answer_defaults={"optimizer": "spsa", "blend": "over", "fit": "shrink", "output": "blm", "loss": "focal"},
)
PROBE = Method("probe", "a linear probe", make="pixprompt.adapters.baselines.probes:LinearProbe", defaults=RECIPE)
number = 3
'''


@pytest.fixture
def code(toy: Toy, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a module of one's own in the current folder; what it adds to the registries goes afterwards."""
    name = f"own_{abs(hash(request.node.name))}"
    Path(f"{name}.py").write_text(CODE)
    path = list(sys.path)
    with ExitStack() as stack:
        for registry in (METHODS, TEMPLATES, OUTPUTS):
            stack.enter_context(patch.dict(vars(registry)))
        yield name
    sys.path[:] = path
    sys.modules.pop(name, None)


def result_of(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / "result.json").read_text())
    return values


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_template_and_an_output_of_ones_own_train(toy: Toy, code: str) -> None:
    arguments = toy.train("run", "--template", f"{code}:Cross", "--epochs", "1")
    arguments[arguments.index("--output") + 1] = f"{code}:Last"
    assert main(arguments) == 0
    config = run_config(Path("run"))
    assert (config.prompt.template, config.output.kind) == (f"{code}:Cross", f"{code}:Last")
    assert result_of(Path("run"))["parameters"] == 3 * (16 + 16 - 1)
    # A template is only named by the file; its output transform has to be run, which no file may decide.
    assert main(["--load", f"{code}:Last", "evaluate", "run"]) == 0
    assert result_of(Path("run"))["accuracy"]["prompt_png"]["output"] == f"{code}:Last"


def test_what_a_file_names_is_not_imported(toy: Toy, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("evil.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    assert main(toy.train("run", "--epochs", "0")) == 0
    values = json.loads(Path("run/config.json").read_text())
    for group, name, value in (("output", "kind", "evil:X"), ("prompt", "template", "evil:X")):
        changed = {**values, group: {**values[group], name: value}}
        Path("changed.json").write_text(json.dumps(changed))
        assert main(["train", "--config", "changed.json", "--out", "again"]) == 2
        assert "is code to run, and no file may decide that" in last_line(capsys)
    Path("changed.json").write_text(json.dumps({**values, "method": "evil:X"}))
    assert main(["train", "--config", "changed.json", "--out", "again"]) == 2
    assert "--load evil:X" in last_line(capsys)
    assert not Path("imported").exists()
    assert main(["--load", "evil:X", "methods"]) == 2  # negative control: the user's word does run it
    assert Path("imported").exists()


def test_a_method_of_ones_own_brings_its_settings(toy: Toy, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--model", toy.model("scores"), "--data", toy.data, "--size", "4", "--budget", "900"]
    method = ("--method", f"{code}:TINT")
    assert main(["train", *method, "--help"]) == 0
    assert "how strong the tint is" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "--strength", "2"]) == 2  # without the method there is no such option
    assert "--strength" in last_line(capsys)
    assert main([*arguments, *method, "--strength", "-1", "--dry-run"]) == 2
    assert "strength must be at least 0" in last_line(capsys)
    assert main([*arguments, *method, "--tokens", "3", "--dry-run"]) == 2
    assert "It takes: --strength." in last_line(capsys)
    assert main([*arguments, *method, "--strength", "2", "--out", "run", "--test-images", "10"]) == 0
    values = json.loads(Path("run/config.json").read_text())
    assert (values["method"], values["adapter"]) == (f"{code}:TINT", {"strength": 2.0})
    assert result_of(Path("run"))["method"] == f"{code}:TINT"
    assert Path("run/prompt.png").exists()
    capsys.readouterr()
    assert main(["--load", f"{code}:TINT", "evaluate", "run", "--json"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model", "options"),
    [
        ("TINT", "scores", ["--size", "4", "--budget", "900", "--strength", "2", "--test-images", "10"]),
        ("PROBE", "vit", ["--epochs", "2"]),
    ],
)
def test_a_run_of_a_method_of_ones_own_is_resumed_where_the_user_names_it(
    toy: Toy, code: str, name: str, model: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with open(f"{toy.module}.py", "a") as file:
        file.write(VIT)
    run, method = Path("run"), f"{code}:{name}"
    with patch.dict(vars(METHODS)):
        command = ["train", "--model", toy.model(model), "--data", toy.data, "--method", method]
        assert main([*command, *options, "--out", "run"]) == 0
    whole = result_of(run)
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix in (".png", ".safetensors")}
    (run / "result.json").unlink()  # as a run that was killed just before its end
    assert main(["train", "--resume", "run"]) == 2
    assert f"--load {method}" in last_line(capsys)
    assert main(["--load", method, "train", "--resume", "run"]) == 0
    again = result_of(run)
    assert (again["method"], again["accuracy"], again["parameters"]) == (method, whole["accuracy"], whole["parameters"])
    for file_name in ("prompt.png", "adapter.safetensors"):
        assert file_name not in files or (run / file_name).read_bytes() == files[file_name]
    assert main(["--load", method, "evaluate", "run", "--json"]) == 0


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--template", "nowhere_at_all:X", "cannot be imported: ModuleNotFoundError"),
        ("--template", "{code}:Missing", "has no attribute 'Missing'"),
        ("--output", "{code}:number", "is no output transform"),
        ("--method", "{code}:Cross", "is no method"),
        ("--method", "tent", "unknown method 'tent'"),
        ("--method", "vpt-depe", "Did you mean 'vpt-deep'"),
        ("--output", "frequncy", "Did you mean 'frequency'"),
        ("--template", "paddin", "Did you mean 'padding'"),
    ],
)
def test_names_that_lead_nowhere(
    toy: Toy, code: str, option: str, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*toy.train("run"), option, name.format(code=code)]) == 2
    assert words in last_line(capsys)
    assert not Path("run").exists()


def test_entry_points_of_an_installed_package(
    toy: Toy, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = tmp_path / "site"
    about = installed / "own_kinds-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-kinds\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[pixprompt.templates]\ncross-{code} = {code}:Cross\n[pixprompt.outputs]\nlast-{code} = {code}:Last\n"
        f"[pixprompt.methods]\ntint-{code} = {code}:TINT\n"
    )
    (installed / f"{code}.py").write_text(CODE)
    Path(f"{code}.py").unlink()
    monkeypatch.syspath_prepend(installed)
    for listing, name in (("templates", "cross"), ("outputs", "last"), ("methods", "tint")):
        assert main([listing, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[f"{name}-{code}"] == "of package own-kinds"
    assert code not in sys.modules  # a listing imports nobody's code
    arguments = toy.train("run", "--template", f"cross-{code}", "--epochs", "1")
    arguments[arguments.index("--output") + 1] = f"last-{code}"
    assert main(arguments) == 0
    assert main(["evaluate", "run"]) == 0  # what is installed may be named by a file
    assert TrainConfig(method=f"tint-{code}", strength=2.0).adapter.to_json() == {"strength": 2.0}
    assert main([*toy.train("x"), "--template", f"cros-{code}"]) == 2
    assert f"Did you mean 'cross-{code}'" in last_line(capsys)


def test_a_registry_of_another_kind_has_no_code_of_ones_own() -> None:
    assert all(isinstance(registry, Registry) and registry.group for registry in (METHODS, TEMPLATES, OUTPUTS))
    with pytest.raises(UnknownName, match="no file may decide"):
        TrainConfig(method="os:system")
    with pytest.raises(ConfigError, match="is no method"):
        METHODS.load("os:getcwd")
