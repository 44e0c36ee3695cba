"""The small parts of the engine: seeds, intervals, configuration, checkpoints, presets."""

import pytest
import torch

from pixprompt.core import AnswerKind, ConfigError, ModelSpec, PixpromptError
from pixprompt.engine import TrainConfig, wilson
from pixprompt.engine.config.presets import resolve, uses_model_units
from pixprompt.engine.fit.gradients.epochs import pack_optimizer, unpack_optimizer
from pixprompt.engine.inputs.devices import pick_autocast, pick_device
from pixprompt.files.tensors import load_state, save_state
from pixprompt.seeds import stream


def spec(answer: AnswerKind = AnswerKind.LOGITS) -> ModelSpec:
    return ModelSpec("m", (224, 224), 10, answer)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)],
)
def test_wilson_against_published_values(correct, total, low, high) -> None:
    """Newcombe 1998, table I, method 3 (Wilson without continuity correction)."""
    assert wilson(correct, total) == pytest.approx((low, high), abs=6e-5)


def test_wilson_without_observations() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_streams_are_named_seeded_and_not_global() -> None:
    draw = lambda *names: torch.rand(4, generator=stream(*names)).tolist()  # noqa: E731
    first = draw(0, "order", 1)
    torch.manual_seed(7)
    assert draw(0, "order", 1) == first
    assert len({tuple(draw(*names)) for names in ((0, "order", 1), (0, "order", 2), (1, "order", 1), (0, "init"))}) == 4


def test_config_round_trip_and_unknown_names() -> None:
    config = TrainConfig(model="rn50", lr=3.0)
    assert TrainConfig.from_json(config.to_json(), source="x") == config
    with pytest.raises(ConfigError, match=r"unknown setting 'epoch'\. Did you mean 'epochs'"):
        TrainConfig.from_json({"epoch": 3}, source="config.json")


def test_vp_preset_is_the_papers_recipe() -> None:
    clip = resolve(TrainConfig(model="clip-vit-b32", preset="vp"), spec(AnswerKind.EMBEDDINGS))
    assert (clip.fit.optimizer, clip.fit.lr, clip.fit.momentum, clip.fit.epochs, clip.fit.warmup) == (
        "sgd",
        40.0,
        0.9,
        1000,
        1000,
    )
    assert (clip.fit.batch_size, clip.output.kind) == (256, "text")
    assert (clip.prompt.blend, clip.prompt.fit, clip.prompt.start) == ("add", "resize", "normal")
    assert (clip.prompt.template, clip.prompt.size, clip.output.text, clip.fit.weight_decay) == (
        "padding",
        30,
        "paper",
        0.0,
    )
    assert uses_model_units(clip)
    sizes = {name: resolve(TrainConfig(model=name, preset="vp"), spec()).fit.batch_size
             for name in ("rn50", "bit-m-rn50", "instagram-resnext101")}  # fmt: skip
    assert sizes == {"rn50": 128, "bit-m-rn50": 128, "instagram-resnext101": 32}
    assert resolve(TrainConfig(model="rn50", preset="vp"), spec()).output.kind == "first-k"


def test_presets_fill_only_what_is_open() -> None:
    config = resolve(TrainConfig(preset="vp", lr=1.0, epochs=3), spec())
    assert (config.fit.lr, config.fit.epochs, config.fit.batch_size) == (1.0, 3, 128)
    with pytest.raises(ConfigError, match="unknown preset"):
        resolve(TrainConfig(preset="pv"), spec())


def test_checkpoints_keep_tensors_and_numbers(tmp_path) -> None:
    path = tmp_path / "c" / "state.safetensors"
    assert load_state(path) is None
    save_state(path, {"a": torch.tensor([1.5, float("inf")])}, {"epoch": 3, "x": 0.1 + 0.2})
    tensors, values = load_state(path)
    assert torch.equal(tensors["a"], torch.tensor([1.5, float("inf")]))
    assert values == {"epoch": 3, "x": 0.1 + 0.2}
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(PixpromptError, match="damaged"):
        load_state(path)


@pytest.mark.parametrize("build", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)])
@pytest.mark.parametrize("steps", [0, 3])
def test_optimizer_state_survives(build, steps) -> None:
    def step(theta, optimizer) -> None:
        optimizer.zero_grad()
        (theta**2).sum().backward()
        optimizer.step()

    theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = build([theta], lr=0.1)
    for _ in range(steps):
        step(theta, optimizer)
    copy = torch.nn.Parameter(theta.detach().clone())
    restored = build([copy], lr=0.1)
    unpack_optimizer(restored, *pack_optimizer(optimizer))
    for _ in range(3):
        step(theta, optimizer)
        step(copy, restored)
    assert torch.equal(theta, copy)


def test_devices_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda")
    assert pick_autocast("fp32", "cpu") is None
    assert pick_autocast("bf16", "cpu") is torch.bfloat16
    for has, expected in ((("avx512_bf16",), torch.bfloat16), (("amx_bf16",), torch.bfloat16), (("avx2",), None)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: dict.fromkeys(has, True))
        assert pick_autocast("auto", "cpu") is expected
