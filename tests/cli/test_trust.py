"""A run folder from elsewhere may not choose code, a hub repository or a place to send images to; a user's word may."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pixprompt.cli import main
from pixprompt.core import ConfigError
from pixprompt.engine import TrainConfig, deploy, train
from pixprompt.engine.inputs.trust import check_trusted, distrust, trust, trust_named, trusted
from pixprompt.files.user_settings import settings_file

from .toy import Toy


@pytest.fixture(autouse=True)
def another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def foreign(toy: Toy, tmp_path: Path) -> Path:
    """A run that somebody else has made, and its code, which leaves a trace."""
    assert main(toy.train()) == 0
    settings_file("trusted").unlink()
    with (tmp_path / f"{toy.module}.py").open("a") as file:
        file.write(f"\nopen({str(tmp_path / 'trace')!r}, 'w').close()\n")
    sys.modules.pop(toy.module)
    return tmp_path / "run"


def test_code_that_a_run_folder_names_is_not_run(
    foreign: Path, toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, image = tmp_path / "trace", str(toy.images("test")[0])
    commands = (
        ["predict", str(foreign), image],
        ["evaluate", str(foreign)],
        ["train", "--config", str(foreign / "config.json"), "--out", str(tmp_path / "new"), "--dry-run"],
        ["train", "--resume", str(foreign)],
    )
    (foreign / "result.json").rename(tmp_path / "result.json")
    for command in commands:
        if command[0] != "train":
            shutil.copy(tmp_path / "result.json", foreign)
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"names {toy.model()} ({tmp_path / toy.module}.py), code to run" in error
        assert f"pixprompt trust {toy.model()}" in error
        (foreign / "result.json").unlink(missing_ok=True)
    shutil.copy(tmp_path / "result.json", foreign)
    with pytest.raises(ConfigError, match="pixprompt trust python:"):
        deploy(foreign)
    assert not trace.exists()
    assert main(["trust", toy.model()]) == 0  # the user's word
    for command in commands[:3]:
        assert main(command) == 0
    assert trace.exists()


@pytest.mark.slow
def test_the_report_says_so_and_loads_nothing(foreign: Path, tmp_path: Path) -> None:
    assert main(["report", str(foreign), "--queries", "40", "--out", str(tmp_path / "page.html")]) == 0
    assert "code to run" in (tmp_path / "page.html").read_text()
    assert not (tmp_path / "trace").exists()


def test_a_model_of_the_user_s_own_opens_the_folder(
    foreign: Path, toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(toy.images("test")[0])
    assert main(["predict", str(foreign), "--model", toy.model(), image]) == 0
    assert main(["predict", str(foreign), image]) == 2  # that was about one call


def test_the_word_is_about_the_code_and_not_about_its_name(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(toy.model())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tmp_path / f"{toy.module}.py", elsewhere)
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ConfigError, match=r"elsewhere.*code to run"):
        check_trusted({"model": toy.model()}, tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "timm:hf_hub:someone/net"}, "timm:hf_hub:someone/net, a repository of a hub"),
        ({"text_encoder": "open_clip:hf-hub:someone/clip"}, "open_clip:hf-hub:someone/clip, a repository of a hub"),
        ({"data": "hf:someone/pictures"}, "hf:someone/pictures, a repository of a hub"),
        ({"surrogate": "python:os:system"}, "python:os:system"),
        ({"surrogate": "resnet18, python:os:system"}, "python:os:system"),
        ({"model": "https://evil.example/x", "endpoint": "google-vision"}, "https://evil.example, a place to send"),
        ({"model": "endpoint:azure-custom-vision"}, "a place to send"),
    ],
)
def test_whatever_a_configuration_names_needs_the_word(
    values: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "not-to-be-sent-anywhere")
    options = {**values}
    if "azure" in values["model" if "model" in values else next(iter(values))]:
        options["endpoint_options"] = "host=evil.example,project=p,iteration=i,resource=evil"
    with pytest.raises(ConfigError, match="no file may decide that") as error:
        check_trusted(options, tmp_path)
    assert message in str(error.value)
    trust_named(options)
    check_trusted(options, tmp_path)
    for name in trusted():
        distrust(name)
    with pytest.raises(ConfigError, match="no file may decide that"):
        check_trusted(options, tmp_path)


def test_data_of_a_hub_need_the_word_where_they_are_read_and_not_for_a_prediction(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(toy.train()) == 0
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace(toy.data, "hf:someone/pictures"))
    assert main(["predict", str(tmp_path / "run"), str(toy.images("test")[0])]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert "pixprompt trust hf:someone/pictures" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "page.html")]) == 0
    assert "pixprompt trust hf:someone/pictures" in (tmp_path / "page.html").read_text()


def test_a_model_by_hand_is_no_word_for_what_else_a_folder_names(tmp_path: Path) -> None:
    config = TrainConfig(model="python:mine:net", surrogate="python:os:system")
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()))
    mine: Any = object()
    with pytest.raises(ConfigError, match=r"names python:os:system"):
        train(config, out=tmp_path, resume=True, model=mine)


def test_names_of_the_package_need_no_word(tmp_path: Path) -> None:
    check_trusted({"model": "timm:resnet18", "text_encoder": "clip-vit-b32", "data": "folder:python"}, tmp_path)
    with pytest.raises(ConfigError, match="needs no word"):
        trust("resnet18")


def test_the_command_lists_and_forgets(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", toy.model()]) == 0
    assert capsys.readouterr().out == f"{toy.model()}  {tmp_path / toy.module}.py\n"
    assert main(["trust", "https://host.example/v2"]) == 0
    capsys.readouterr()
    assert main(["trust", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "https://host.example": [""],
        toy.model(): [f"{tmp_path / toy.module}.py"],
    }
    assert main(["trust", "https://host.example/v2/models/m", "--forget"]) == 0
    assert list(trusted()) == [toy.model()]
    assert main(["trust", "--forget"]) == 2


def test_without_a_place_to_remember_a_run_goes_on(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    trust_named({"model": toy.model()})
    assert "not remembered as yours" in caplog.text
