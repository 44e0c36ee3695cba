"""Numbers of learned parameters on the papers' backbone, ViT-B/16, against closed forms; nothing is computed."""

from __future__ import annotations

import pytest

from pixprompt.adapters.baselines.lora import LoRA

from ..backbones.vit_toy import vit_b
from .baseline_toy import CLASSES, make, seeded

D, L, MLP, PATCH, TOKENS = 768, 12, 3072, 3 * 16 * 16, 197
HEAD = D * len(CLASSES) + len(CLASSES)
LAYER = 4 * D + (D + 1) * 3 * D + (D + 1) * D + (D + 1) * MLP + (MLP + 1) * D
BACKBONE = D + TOKENS * D + (PATCH + 1) * D + L * LAYER + 2 * D
BIASES = D + L * (D + 3 * D + D + D + MLP + D) + D


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("linear", {}, 0),
        ("mlp", {"layers": 2}, 2 * (D * D + D) + 2 * 2 * D),  # two linear layers and the norms behind them
        ("bias", {}, BIASES),
        ("ssf", {}, 2 * BIASES),  # every operation of a ViT has as many biases as channels
        ("adapter", {}, L * (2 * D * 96 + 96 + D)),
        ("adapter", {"reduction": 64}, L * (2 * D * 12 + 12 + D)),
        ("lora", {}, 12 * 2 * 2 * 768 * 8),
        ("lora", {"rank": 3}, 12 * 2 * 2 * 768 * 3),
        ("adaptformer", {"bottleneck": 64}, L * (2 * D * 64 + 64 + D)),
        ("partial", {"layers": 1}, LAYER + 2 * D),
        ("partial", {"layers": 12}, 12 * LAYER + 2 * D),
        ("full", {}, BACKBONE),
    ],
)
def test_counts_of_vit_b(method: str, options: dict[str, int], expected: int) -> None:
    adapter = make(method, vit_b(), **options)
    assert adapter.num_tuned == expected + HEAD
    assert adapter.num_backbone == BACKBONE == 85_798_656
    assert adapter.share == pytest.approx((expected + HEAD) / 85_798_656)


def test_lora_of_all_projections() -> None:
    adapter = LoRA(vit_b(), CLASSES, targets=("q", "k", "v", "out"), generator=seeded())
    assert adapter.num_tuned == 2 * 12 * 2 * 2 * 768 * 8 + HEAD


def test_bitfit_is_the_paper_s_share() -> None:
    assert BIASES == 102_912
    assert make("bias", vit_b()).share == pytest.approx(0.0012, abs=0.00005)
