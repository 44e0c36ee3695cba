"""Settings that a person wrote down: the same run as by options, or an error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixprompt.core import ConfigError
from pixprompt.engine.config.settings_file import read_settings
from pixprompt.engine.config.train_config import TrainConfig

FILES = {
    "run.toml": 'model = "rn50"\nmethod = "vpt-deep"\ntokens = 5\nbatch-size = 16\n[fit]\nlr = 0.1\n',
    "run.yaml": "model: rn50\nmethod: vpt-deep\ntokens: 5\nbatch-size: 16\nfit:\n  lr: 0.1\n",
    "run.yml": "model: rn50\nmethod: vpt-deep\ntokens: 5\nbatch_size: 16\nlr: 0.1\n",
    "run.json": '{"model": "rn50", "method": "vpt-deep", "adapter": {"tokens": 5}, "batch_size": 16, "lr": 0.1}',
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_options_say(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    config = TrainConfig.from_json(read_settings(path), source=path)
    assert config == TrainConfig(model="rn50", method="vpt-deep", tokens=5, batch_size=16, lr=0.1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"lr = ", "a.toml is no file of settings"),
        ("a.yaml", b"lr: [1", "a.yaml is no file of settings"),
        ("a.yaml", b"lr: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a.yaml", b"[" * 10_000, "a.yaml is no file of settings"),
        ("a.toml", b"a = " + b"[" * 100_000, "a.toml is no file of settings"),
        ("a.yaml", b"- lr", "expected a JSON object"),
        ("a.toml", b"learning-rate = 1", "unknown setting 'learning_rate'"),
        ("a.toml", b'lr = "high"', "lr must be a number"),
        ("a.toml", b"\xff", "a.toml is no file of settings"),
        ("a.toml", b"#" * (2**20 + 1), "larger than"),
    ],
)
def test_a_bad_file_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_json(read_settings(path), source=path)
