"""Runs that are killed, resumed, or started twice."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pixprompt import files
from pixprompt.core import ConfigError
from pixprompt.engine import TrainConfig, evaluate, train
from pixprompt.engine.progress import Silent

from .toy import KillAfter, Killed, history, numbers


@pytest.mark.parametrize(
    ("stage", "images"),
    [
        ("train", 130),
        ("score", 50),
        *(
            pytest.param(*at, marks=pytest.mark.slow)
            for at in (("no prompt", 10), ("train", 10), ("train", 60), ("train", 239))
        ),
    ],
)
@pytest.mark.parametrize(
    "values",
    [
        {},
        pytest.param({"optimizer": "sgd", "lr": 2.0}, marks=pytest.mark.slow),
        pytest.param({"template": "random-patch", "start": "normal"}, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_equals_never_stopped(stage, images, values, config, model, data, wholes, tmp_path) -> None:
    config = config.with_values(**values)
    folder, whole = wholes(config, model=model, data=data)
    with pytest.raises(Killed):
        train(config, out=tmp_path / "cut", model=model, data=data, reporter=KillAfter(images, stage))
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=model, data=data)
    assert numbers(resumed) == numbers(whole)
    assert history(tmp_path / "cut") == history(folder)
    assert (tmp_path / "cut/prompt.png").read_bytes() == (folder / "prompt.png").read_bytes()


def test_an_unfinished_run_has_no_prompt_to_deploy(config, model, data, tmp_path) -> None:
    with pytest.raises(Killed):
        train(config, out=tmp_path / "run", model=model, data=data, reporter=KillAfter(120, "score"))
    assert not (tmp_path / "run/prompt.png").exists()
    with pytest.raises(ConfigError, match="not finished"):
        evaluate(tmp_path / "run", model=model, data=data)


def test_another_mapping_is_noticed(config, model, data, tmp_path) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"red": 0, "green": 1, "striped": 2}))
    config = config.with_values(output="given", mapping=str(mapping))
    with pytest.raises(Killed):
        train(config, out=tmp_path / "run", model=model, data=data, reporter=KillAfter(100, "train"))
    mapping.write_text(json.dumps({"red": 3, "green": 1, "striped": 2}))
    with pytest.raises(ConfigError, match="was started with other"):
        train(TrainConfig(), out=tmp_path / "run", resume=True, model=model, data=data)


@pytest.mark.parametrize(
    "file",
    [
        "history.jsonl",
        "prompt.png",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("state.safetensors", "preview.png", "result.json")),
    ],
)
@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.slow), True])
def test_killed_beside_any_file_and_resumed(file, after, config, model, data, wholes, tmp_path, monkeypatch) -> None:
    folder, whole = wholes(config, model=model, data=data)

    def killing(write, paths: list[Path]):
        def wrapped(path: Path, content: bytes) -> None:
            paths.append(path)
            last = path.name == file and [p.name for p in paths].count(file) == 2 - (file[-4:] in (".png", "json"))
            if not last or after:
                write(path, content)
            if last:
                raise Killed

        return wrapped

    with monkeypatch.context() as patch:
        write = files.write_bytes
        writing = [module for name, module in sys.modules.items()
                   if name.startswith("pixprompt") and vars(module).get("write_bytes") is write]  # fmt: skip
        for module in writing:
            patch.setattr(module, "write_bytes", killing(write, []))
        with pytest.raises(Killed):
            train(config, out=tmp_path / "cut", model=model, data=data)
    resumed = train(TrainConfig(), out=tmp_path / "cut", resume=True, model=model, data=data)
    assert numbers(resumed) == numbers(whole)
    assert history(tmp_path / "cut") == history(folder)
    assert (tmp_path / "cut/prompt.png").read_bytes() == (folder / "prompt.png").read_bytes()


def test_resuming_with_other_images_is_refused(config, model, data, tmp_path) -> None:
    with pytest.raises(Killed):
        train(config, out=tmp_path / "run", model=model, data=data, reporter=KillAfter(100, "train"))
    shuffled = replace(data, train=data.train.subset(list(reversed(range(60)))))
    with pytest.raises(ConfigError, match="was started with other"):
        train(TrainConfig(), out=tmp_path / "run", resume=True, model=model, data=shuffled)


def test_resuming_a_finished_run_gives_its_result_and_asks_nothing(config, model, data, wholes) -> None:
    folder, first = wholes(config, model=model, data=data)
    again = train(TrainConfig(), out=folder, resume=True)
    assert again == first


def test_two_runs_cannot_share_a_folder(config, model, data, tmp_path) -> None:
    class _Late(Silent):
        def stage(self, name: str, total: int) -> None:
            with pytest.raises(ConfigError, match="not empty"):
                train(config, out=tmp_path / "run", model=model, data=data)

    train(config.with_values(epochs=1), out=tmp_path / "run", model=model, data=data, reporter=_Late())


def test_a_run_is_not_overwritten(config, model, data, wholes, tmp_path) -> None:
    folder, _ = wholes(config, model=model, data=data)
    with pytest.raises(ConfigError, match="not empty"):
        train(config, out=folder, model=model, data=data)
    with pytest.raises(ConfigError, match="no run directory"):
        train(config, out=tmp_path / "nothing", resume=True, model=model, data=data)
