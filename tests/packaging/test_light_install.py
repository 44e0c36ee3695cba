"""An installation without torch, in an environment of its own: what works there, and what the rest says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import click
import pytest
from PIL import Image

from pixprompt.cli import commands, main
from pixprompt.models import load_model
from pixprompt.serving import Server, Service

from ..cli.toy import write_toy
from ..images import make_prompt, picture

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "open_clip", "matplotlib", "sklearn", "scipy", "safetensors")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("light")]


class Light:
    """The environment; `run` calls its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def run(self, *arguments: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.folder / "bin" / "pixprompt", *arguments]
        return subprocess.run(
            list(map(str, command)), cwd=cwd, input=stdin, capture_output=True, text=True, env={"PATH": ""}
        )


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Light:
    """The documented line: pixprompt alone, then requirements-light.txt, of each the oldest version that it allows."""
    folder = tmp_path_factory.mktemp("light")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    venv.create(folder / "venv", with_pip=True)
    environment = Light(folder / "venv")
    (wheel,) = folder.glob("*.whl")
    pip = [str(environment.python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True, env=clean)
    oldest = folder / "oldest.txt"
    oldest.write_text((ROOT / "requirements-light.txt").read_text("utf-8").replace(">=", "=="))
    process = subprocess.run([*pip, "-r", str(oldest)], capture_output=True, text=True, env=clean)
    if process.returncode:
        pytest.skip(f"packages cannot be had here: {process.stderr.strip().splitlines()[-1]}")
    listed = subprocess.run([*pip[:3], "list"], check=True, capture_output=True, text=True, env=clean).stdout
    assert not [name for name in HEAVY if f"{name} " in listed.lower()]
    return environment


def test_every_file_of_the_package_is_installed(light: Light) -> None:
    (installed,) = light.folder.glob("lib/python*/site-packages/pixprompt")
    named = {
        root: {path.relative_to(root) for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        for root in (ROOT / "pixprompt", installed)
    }
    assert named[installed] == named[ROOT / "pixprompt"]


def test_a_prompt_is_applied_to_the_byte_and_inspected(light: Light, tmp_path: Path) -> None:
    make_prompt().save(tmp_path / "prompt.png")
    picture().save(tmp_path / "a.png")
    process = light.run("apply", "prompt.png", "a.png", "--out", "out", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert main(["apply", str(tmp_path / "prompt.png"), str(tmp_path / "a.png"), "--out", str(tmp_path / "here")]) == 0
    (ours,), (theirs,) = (sorted((tmp_path / name).rglob("*.png")) for name in ("here", "out"))
    assert Image.open(ours).tobytes() == Image.open(theirs).tobytes()
    assert light.run("inspect", "prompt.png", cwd=tmp_path).returncode == 0


def test_a_prompt_is_exported_and_goes_through_pipes(light: Light, tmp_path: Path) -> None:
    (tmp_path / "prompt.png").write_bytes((ROOT / "tests/golden/format/prompts/add-crop.png").read_bytes())
    picture().save(tmp_path / "a.png")
    for form in ("pair", "arrays"):
        process = light.run("export", "prompt.png", "--to", form, "--out", form, cwd=tmp_path)
        assert process.returncode == 0, process.stderr
    assert (tmp_path / "pair/subtract.png").exists()
    process = light.run("export", "prompt.png", "--to", "onnx", cwd=tmp_path)
    assert process.returncode == 1
    assert "this needs the package onnx, which is not installed. pip install 'onnx>=" in process.stderr
    assert "'pixprompt[onnx]'" in process.stderr
    line = json.dumps({"path": str(tmp_path / "a.png")})
    process = light.run("apply", "prompt.png", "-", "--out", "-", cwd=tmp_path, stdin=line)
    assert "image" in json.loads(process.stdout)
    process = light.run("apply", "hf:you/prompt", "a.png", "--out", "out", cwd=tmp_path)
    assert "this needs the package huggingface_hub, which is not installed" in process.stderr


@pytest.mark.parametrize("name", ["models", "datasets", "templates", "outputs", "methods", "optimizers", "protocols"])
def test_every_listing_is_that_of_a_full_installation(
    light: Light, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = light.run(name, "--json", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert main([name, "--json"]) == 0
    assert json.loads(process.stdout) == json.loads(capsys.readouterr().out)


def test_every_command_has_its_help(light: Light, tmp_path: Path) -> None:
    for name in commands.list_commands(click.Context(commands)):
        process = light.run(name, "--help", cwd=tmp_path)
        assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (("train", "--model", "resnet18", "--data", "folder:photos"), "torch"),
        (("serve", "--model", "resnet18"), "starlette"),
        (("ui", "photos"), "starlette"),
        (("segment", "train", "--data", "ade20k:nowhere"), "torch"),
        (("diagnose", "--data", "folder:photos", "--reference", "folder:photos"), "torch"),
    ],
)
def test_what_needs_more_names_the_package_and_its_command(
    light: Light, arguments: tuple[str, ...], package: str, tmp_path: Path
) -> None:
    for kind in ("red", "green"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(12):
            picture(seed=number).save(tmp_path / "photos" / kind / f"{number}.png")
    process = light.run(*arguments, cwd=tmp_path)
    assert process.returncode == 1
    assert f"this needs the package {package}, which is not installed. pip install '{package}>=" in process.stderr
    assert "unexpected" not in process.stderr


def test_a_run_is_reported_and_a_remote_model_evaluated_with_the_results_of_a_full_installation(
    light: Light, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main([*toy.train("run", "--json")]) == 0
    process = light.run("report", "run", "--no-model", "--out", "run.html", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "no prompt" in (tmp_path / "run.html").read_text()
    with Server(Service(load_model(toy.model()), name="net")) as served:
        capsys.readouterr()
        for command in (
            ("predict", "run/prompt.png", f"{tmp_path}/images/test", "--top", "3"),
            ("evaluate", "run/prompt.png", "--data", toy.data),
        ):
            request = (*command, "--model", served.url, "--json", "--ledger")
            process = light.run(*request, f"light-{command[0]}.sqlite", cwd=tmp_path)
            assert process.returncode == 0, process.stderr
            assert main([*request, f"full-{command[0]}.sqlite"]) == 0
            ours, theirs = json.loads(capsys.readouterr().out), json.loads(process.stdout)
            for result in (ours, theirs):
                result.pop("seconds", None)
                result.pop("peak_memory_mb", None)
            assert theirs == ours
            assert ours["queries"]
        plan = ("train", "--dry-run", "--json", "--data", toy.data, "--model", served.url, "--budget", "300")
        process = light.run(*plan, "--price-per-1000", "2", cwd=tmp_path)
        assert process.returncode == 0, process.stderr
        assert main([*plan, "--price-per-1000", "2"]) == 0
        ours, theirs = json.loads(capsys.readouterr().out), json.loads(process.stdout)
        assert (theirs["config"], theirs["counts"]) == (ours["config"], ours["counts"])
        assert (theirs["queries"], theirs["cost"], theirs["parameters"]) == ({"total": 300}, 0.6, None)
        assert theirs["calls"]["requests"] >= ours["calls"]["requests"]
        assert "this needs the package torch" in theirs["outlook"][0]
        again = light.run("ledger", "light-predict.sqlite", "--json", cwd=tmp_path)
        assert json.loads(again.stdout)["answers"] == len(toy.images("test"))
