"""`pixprompt train`: the run directory, the result object, and runs that are repeated, stopped and resumed."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixprompt import __version__
from pixprompt.cli import main
from pixprompt.engine import TrainConfig

from ..engine.toy import history
from ..images import files
from .toy import CLASSES, COUNTS, Toy, start

FILES = [
    "README.md",
    "config.json",
    "curves.png",
    "history.jsonl",
    "preview.png",
    "prompt.png",
    "result.json",
    "test.json",
]
CHECKPOINT = ["checkpoint/candidate.png", "checkpoint/plain.safetensors", "checkpoint/state.safetensors"]
SCHEMA_1 = {
    *("schema", "pixprompt_version", "method", "model", "data", "classes", "counts", "parameters", "seed", "accuracy"),
    *("queries", "train_images_per_second", "seconds", "peak_memory_mb"),
}  # of interface.md
ADDED = {
    *("adapter", "best", "changes", "max_pixel_difference", "notes", "search", "searched", "student", "views")
}  # of `Result`
CLOCKS = {"seconds", "train_images_per_second", "peak_memory_mb"}


def result_of(folder: Path) -> dict[str, Any]:
    """The saved result without its clocks."""
    values = json.loads((folder / "result.json").read_text())
    return {key: value for key, value in values.items() if key not in CLOCKS}


@pytest.mark.usefixtures("drawn")
def test_the_run_directory_holds_what_the_interface_says(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.train("run", "--json")) == 0
    captured = capsys.readouterr()
    assert files(Path("run")) == sorted(FILES + CHECKPOINT)
    result = json.loads(captured.out)  # exactly one JSON object, or this fails
    assert result == json.loads(Path("run/result.json").read_text())
    assert result.keys() == SCHEMA_1 | ADDED
    assert (result["schema"], result["pixprompt_version"], result["method"]) == (1, __version__, "pixel")
    assert (result["model"], result["data"], result["classes"]) == (toy.model(), toy.data, list(CLASSES))
    assert result["counts"] == COUNTS
    assert (result["adapter"], result["search"]) == (None, None)  # of methods inside the network
    assert result["parameters"] == 2 * 3 * 4 * (16 + 16 - 2 * 4)
    assert list(result["accuracy"]) == ["no_prompt", "output_only", "prompt_float", "prompt_png"]
    for rung in result["accuracy"].values():
        assert rung.keys() == {"val", "test", "ci95", "output"}
        assert 0 <= rung["ci95"][0] <= rung["test"] <= rung["ci95"][1] <= 1
    assert result["queries"].keys() == {"images", "requests", "cached", "retried", "cost"}
    assert [line["epoch"] for line in history(Path("run"))] == [1, 2, 3]
    for name in ("curves.png", "preview.png", "prompt.png"):
        with Image.open(Path("run", name)) as image:
            assert image.format == "PNG"


def test_progress_goes_to_stderr_and_draws_bars_on_a_terminal_only(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(toy.train("plain", "--json")) == 0
    plain = capsys.readouterr()
    assert plain.err.count("epoch ") == 3
    assert "\r" not in plain.err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(toy.train("terminal", "--json")) == 0
    terminal = capsys.readouterr()
    assert json.loads(terminal.out)["best"] == json.loads(plain.out)["best"]
    assert "\r" in terminal.err
    assert "train:" in terminal.err


def test_without_json_the_ladder_and_the_files_are_printed(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.train("run", "--price-per-1000", "2")) == 0
    out = capsys.readouterr().out
    accuracy = result_of(Path("run"))["accuracy"]
    for title, rung in (("no prompt ", "no_prompt"), ("prompt re-read from PNG", "prompt_png")):
        line = next(line for line in out.splitlines() if line.startswith(title))
        assert f"{accuracy[rung]['val']:.3f}" in line
        assert f"{accuracy[rung]['test']:.3f}" in line
    assert f"{result_of(Path('run'))['queries']['images']} queries (cost " in out
    for name in ("prompt.png", "preview.png", "result.json"):
        assert f"run/{name}" in out


def test_the_default_folder_names_model_data_method_and_seed(toy: Toy) -> None:
    arguments = toy.train("x")
    del arguments[arguments.index("--out") : arguments.index("--out") + 2]
    assert main(arguments) == 0
    (folder,) = Path("runs").iterdir()
    assert re.fullmatch(rf"python-{toy.module}-net-16-images-pixel-\d{{8}}-\d{{6}}-seed0", folder.name)
    assert (folder / "result.json").exists()


def test_a_dry_run_says_what_a_run_will_ask_and_leaves_nothing(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(toy.folder)
    assert main(toy.train("run", "--dry-run", "--json", "--price-per-1000", "1.5", model="recorded")) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["counts"] == COUNTS
    total = planned["queries"].pop("total")
    assert total == sum(planned["queries"].values())
    assert planned["cost"] == pytest.approx(total * 1.5 / 1000, abs=1e-4)
    assert TrainConfig.from_json(planned["config"], source="plan").fit.lr is not None  # resolved, and readable again
    assert main(toy.train("run", "--dry-run", model="recorded")) == 0
    words = capsys.readouterr().out
    assert re.search(rf"queries +total +{total}\n", words)
    assert f"parameters  {planned['parameters']}\n" in words
    assert [name for name in files(toy.folder) if "__pycache__" not in name] == before
    assert len(sys.modules[toy.module].seen) == 2  # the one grey image of each call
    assert main(toy.train("run", "--json", "--price-per-1000", "1.5")) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["queries"]["images"], result["queries"]["cost"]) == (total, planned["cost"])
    assert result["parameters"] == planned["parameters"]


def test_a_config_file_repeats_the_run_and_options_override_it(toy: Toy) -> None:
    assert main(toy.train("first", "--seed", "3", "--output", "frequency")) == 0
    assert main(["train", "--config", "first/config.json", "--out", "again"]) == 0
    assert main(["train", "--config", "first/config.json", "--out", "other", "--seed", "4", "--epochs", "1"]) == 0
    assert result_of(Path("again")) == result_of(Path("first"))
    assert Path("again/prompt.png").read_bytes() == Path("first/prompt.png").read_bytes()
    assert Path("again/config.json").read_bytes() == Path("first/config.json").read_bytes()
    other, first = (json.loads(Path(name, "config.json").read_text()) for name in ("other", "first"))
    assert other == first | {"seed": 4, "fit": first["fit"] | {"epochs": 1}}
    assert len(history(Path("other"))) == 1


@pytest.mark.usefixtures("drawn")
def test_zero_epochs_give_the_rungs_without_a_prompt(toy: Toy) -> None:
    assert main(toy.train("run", "--epochs", "0")) == 0
    result = result_of(Path("run"))
    assert result["accuracy"]["prompt_float"] is None
    assert result["accuracy"]["prompt_png"] == result["accuracy"]["no_prompt"]
    assert result["best"] == "none"


def test_a_finished_run_can_be_resumed_and_says_the_same(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(toy.train()) == 0
    before = result_of(Path("run"))
    assert main(["train", "--resume", "run", "--json"]) == 0
    capsys.readouterr()
    assert result_of(Path("run")) == before
    assert main(["train", "--resume", "run", "--epochs", "9"]) == 2
    assert "only what it may cost can change" in capsys.readouterr().err


# Stopped from outside ------------------------------------------------------------------------------------------------

_LONG = ("--epochs", "40", "--optimizer", "sgd", "--lr", "1")


def wait_for(path: Path, process: subprocess.Popen[str], words: str = "") -> None:
    while not (path.exists() and words in path.read_text(errors="replace")):
        assert process.poll() is None, f"{path} did not come"
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_equals_never_stopped(toy: Toy) -> None:
    assert main(toy.train("whole", *_LONG)) == 0
    rng = random.Random(2)
    waits = "import time, pixprompt.engine.run as run\nrun.score_ladder = lambda *_: time.sleep(600)"  # for the kill
    moments = [("config.json", ""), *(("history.jsonl", f'"epoch": {rng.randint(1, 39)}') for _ in range(3))]
    for number, (file, words) in enumerate(moments):
        out = Path(f"cut{number}")
        process = start(toy.train(out, *_LONG), toy.folder, before=waits)
        wait_for(toy.folder / out / file, process, words)
        time.sleep(rng.uniform(0, 0.02))  # anywhere in an epoch, in the midst of a write as well
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        assert not (out / "result.json").exists()
        assert main(["train", "--resume", str(out)]) == 0
        assert result_of(out) == result_of(Path("whole")), (file, words)
        assert history(out) == history(Path("whole"))
        assert (out / "prompt.png").read_bytes() == Path("whole/prompt.png").read_bytes()
        assert files(out) == files(Path("whole"))  # no half-written file is left


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_says_how_to_go_on_and_goes_on(toy: Toy, number: int, code: int) -> None:
    process = start(toy.train("my run", *_LONG, "--epochs", "4000", "--json"), toy.folder)
    wait_for(toy.folder / "my run/history.jsonl", process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=300)
    assert len(history(Path("my run"))) < 4000
    assert (process.returncode, stdout) == (code, "")
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "interrupted; continue with: pixprompt train --resume 'my run'"
    config = Path("my run/config.json")
    config.write_text(config.read_text().replace('"epochs": 4000', f'"epochs": {len(history(Path("my run"))) + 2}'))
    assert main(["train", "--resume", "my run"]) == 0
    assert result_of(Path("my run"))["counts"] == COUNTS


def test_ctrl_c_before_anything_was_written_promises_nothing(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pixprompt.models.load_model", stop)
    assert main(toy.train("run")) == 130
    assert capsys.readouterr().err.strip() == "interrupted"
    assert not Path("run").exists()


def test_a_run_killed_while_it_claims_its_folder_can_be_started_again(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("run").mkdir()
    Path("run/.0123.tmp").write_text("{")  # what a kill leaves in the midst of a write
    errors: list[OSError] = [FileExistsError(17, "File exists"), OSError(95, "Operation not supported")]

    def link(*paths: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("os.link", link)
    assert main(toy.train("run")) == 2
    assert "another run has just started in run" in capsys.readouterr().err
    assert files(Path("run")) == [".0123.tmp"]
    assert main(toy.train("run")) == 0  # on a file system without links
    assert result_of(Path("run"))["counts"] == COUNTS
