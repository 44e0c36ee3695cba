"""Bundles: a model in a folder, which loads with the network cut and is refused once it was changed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixprompt.cli import main
from pixprompt.core import ConfigError, ModelError
from pixprompt.models import check_bundle, load_model, write_bundle
from pixprompt.models.loading import full_name

from ..images import picture

NAME = "timm:test_vit.r160_in1k"
"""A transformer of 0.4 million weights, which timm has for tests."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    net = load_model(NAME, pretrained=False).net
    torch.save(net.state_dict(), folder / "weights.pt")
    write_bundle(NAME, folder / "whole", weights=folder / "weights.pt")
    return folder / "whole"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_bundle_answers_as_the_model_with_the_network_cut(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_model(NAME, weights=bundle.parent / "weights.pt")
    monkeypatch.setattr(socket, "socket", None)
    model = load_model(f"bundle:{bundle}")
    assert model.spec.name == f"bundle:{bundle}"
    assert model.spec.image_size == whole.spec.image_size
    images = torch.rand(2, 3, *whole.spec.image_size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), whole(images))
    assert check_bundle(bundle)["architecture"] == NAME
    with Image.open(bundle / "sanity.png") as image:
        assert image.size == whole.spec.image_size


@pytest.mark.parametrize("file", ["weights.safetensors", "sanity.png"])
def test_a_file_that_was_changed_is_refused(file: str, copy: Path) -> None:
    content = bytearray((copy / file).read_bytes())
    content[-9] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(ModelError, match=f"{file} does not match its digest"):
        load_model(f"bundle:{copy}")
    (copy / file).unlink()
    with pytest.raises(Exception, match=file):
        load_model(f"bundle:{copy}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "python:os:system"}, "describes no bundle"),
        ({"architecture": "timm:hf-hub:you/net"}, "describes no bundle"),
        ({"schema": 2}, "another schema"),
        ({"sha256": {}}, "incomplete"),
        ({"preprocessing": {}}, "prepared in another way"),
        ({"architecture": "timm:test_vit2.r160_in1k"}, "do not fit"),
        ({"answer": [0.0]}, "answers its picture otherwise"),
        ({"answer": None}, "describes no bundle|otherwise"),
    ],
)
def test_a_description_that_was_changed_is_refused(changes: dict[str, object], message: str, copy: Path) -> None:
    values = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**values, **changes}))
    with pytest.raises(ModelError, match=message):
        check_bundle(copy)


def test_another_answer_about_the_picture_is_noticed(copy: Path) -> None:
    values = json.loads((copy / "bundle.json").read_text())
    values["answer"][3] += 0.01 * max(map(abs, values["answer"]))
    (copy / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match="otherwise"):
        check_bundle(copy)


@pytest.mark.parametrize("name", ["python:numpy:add", "timm:hf-hub:you/net", "open_clip:ViT-B-32/openai"])
def test_what_is_no_librarys_net_is_not_bundled(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be bundled"):
        write_bundle(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commands_bundle_check_and_list(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "own.png")
    weights = str(bundle.parent / "weights.pt")
    options = ["--weights", weights, "--image", str(tmp_path / "own.png"), "--out", str(tmp_path / "out")]
    assert main(["models", "bundle", NAME, *options]) == 0
    assert main(["models", "check", str(tmp_path / "out"), "--json"]) == 0
    lines = capsys.readouterr().out.split("\n", 1)
    assert lines[0] == f"bundled {NAME}: --model bundle:{tmp_path / 'out'}"
    assert json.loads(lines[1])["revision"] is None
    assert main(["models", "bundle", NAME, *options]) == 2
    assert main(["models"]) == 0
    assert "resnet18" in capsys.readouterr().out


def test_a_bundle_takes_no_other_weights(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="its own"):
        load_model(f"bundle:{bundle}", weights=bundle / "weights.safetensors")


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0", NAME, "open_clip:ViT-B-32/openai"])
def test_names_lead_to_what_builds_them(name: str) -> None:
    assert ":" in full_name(name)
    assert full_name(full_name(name)) == full_name(name)


def test_a_dry_run_needs_no_weights(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixprompt.models.families.torchvision_.reachable", lambda url: False)
    options = ["--data", "digits", "--shots", "5", "--size", "30", "--dry-run", "--json"]
    assert main(["train", "--model", "mobilenet-v2", *options]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 69840
    assert main(["models", "fetch", "mobilenet-v2"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.slow
def test_real_models_as_bundles(assets: Path, tmp_path: Path) -> None:
    photo = sorted((assets / "data/imagenet-samples").iterdir())[207]
    for name, file in (("resnet18", "resnet18"), ("vit-tiny", "vit_tiny_patch16_224")):
        weights = assets / f"weights/{file}.safetensors"
        write_bundle(name, tmp_path / name, weights=weights, image=photo)
        assert int(np.argmax(check_bundle(tmp_path / name)["answer"])) == 207  # a golden retriever
    write_bundle("efficientnet-lite0", tmp_path / "lite")
    assert load_model(f"bundle:{tmp_path / 'lite'}").spec.labels is not None
