"""Settings that a method has for some models only: what `--dry-run` makes of them, without learning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixprompt.cli import main

from .toy import Toy

NETS = """

from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer

vit = VisionTransformer(img_size=16, patch_size=4, embed_dim=24, depth=3, num_heads=3, num_classes=6)
swin = SwinTransformer(
    img_size=32, patch_size=4, window_size=4, embed_dim=24, depths=(2, 2), num_heads=(2, 4), num_classes=6
)
"""


@pytest.fixture
def nets(toy: Toy) -> Toy:
    with Path(f"{toy.module}.py").open("a") as file:
        file.write(NETS)
    return toy


@pytest.mark.parametrize(
    ("net", "size", "method", "option", "value"),
    [
        ("swin", 32, "vpt-deep", "--layout", "legacy"),
        ("swin", 32, "vpt-shallow", "--layout", "image"),
        ("swin", 32, "sa2vp-deep", "--new-maps", "direct"),
        ("vit", 16, "sa2vp-deep", "--new-maps", "through-layer"),
    ],
)
def test_a_dry_run_takes_them(
    net: str, size: int, method: str, option: str, value: str, nets: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--model", nets.model(net, size), "--data", nets.data, "--method", method, option, value]
    assert main([*arguments, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["config"]["adapter"][option.strip("-").replace("-", "_")] == value
    assert planned["parameters"] > 0


@pytest.mark.parametrize(
    ("method", "option", "value", "message"),
    [
        ("vpt-deep", "--layout", "legacy", "VPT of a ViT does not know layout 'legacy'; leave it out"),
        ("vpt-deep", "--layout", "public", "'public' is not one of 'image', 'legacy'"),
        ("sa2vp-shallow", "--new-maps", "direct", "--new-maps does nothing with method 'sa2vp-shallow'"),
        ("sa2vp-deep", "--layout", "legacy", "--layout does nothing with method 'sa2vp-deep'"),
    ],
)
def test_a_dry_run_refuses_what_does_not_fit(
    method: str, option: str, value: str, message: str, nets: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--model", nets.model("vit"), "--data", nets.data, "--method", method, option, value]
    assert main([*arguments, "--dry-run"]) != 0
    assert message in " ".join(capsys.readouterr().err.split())
