"""The coordinator: a prompt per image, the same every time, that leaves no trace and can be built again."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import batch_norm, linear

from pixprompt.adapters import Coordinator, CoordinatorSpec, coordinator
from pixprompt.canvas import Canvas, decode
from pixprompt.core import ConfigError, PromptError, RangeError, ShapeError
from pixprompt.models import DirectQuerier, as_model, load_model

SIZE = (32, 32)
FEATURES = 20
WEIGHT = torch.randn(FEATURES, 3 * 16, generator=torch.Generator().manual_seed(9))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pooled(images: Tensor) -> Tensor:
    return linear(torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1) - 0.5, WEIGHT)


def encoder(name: str = "pooled", num_features: int = FEATURES, size: tuple[int, int] = SIZE) -> DirectQuerier:
    return DirectQuerier(
        as_model(lambda images: pooled(images)[:, :num_features], image_size=size, name=name, takes="tensor")
    )


def photos(count: int = 4, size: tuple[int, int] = SIZE, seed: int = 0) -> Tensor:
    """8-bit images whose parts differ, so that their features do."""
    coarse = torch.rand(count, 3, 4, 4, generator=seeded(seed))
    return (torch.nn.functional.interpolate(coarse, size) * 255).round() / 255


def make(size: tuple[int, int] = SIZE, **sizes: object) -> Coordinator:
    return Coordinator.beside(encoder(), size, **sizes)


def steps_apart(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) * 255).round().abs()


@pytest.mark.parametrize("size", [(32, 32), (28, 40), (7, 7), (96, 50)])
@pytest.mark.parametrize("epsilon", [0.05, 0.25, 1.0])
def test_gives_8_bit_images_within_epsilon(size: tuple[int, int], epsilon: float) -> None:
    prompter, images = make(size, epsilon=epsilon), photos(size=size)
    before = images.clone()
    x = prompter.start(generator=seeded()) + torch.randn(prompter.num_params, generator=seeded(1))
    prompted = prompter(images, x)
    assert prompted.shape == images.shape
    assert prompted.dtype == torch.float32
    assert torch.equal(prompted, torch.arange(256.0)[(prompted * 255).round().long()] / 255)
    assert prompted.min() >= 0
    assert prompted.max() <= 1
    assert 0.2 * epsilon * 255 < steps_apart(prompted, images).max() <= math.ceil(epsilon * 255)
    assert torch.equal(images, before)
    assert prompter.per_image


def test_starts_small_and_by_its_generator() -> None:
    prompter, images = make(), photos()
    start = prompter.start(generator=seeded())
    torch.manual_seed(99)
    assert torch.equal(start, prompter.start(generator=seeded()))
    assert not torch.equal(start, prompter.start(generator=seeded(1)))
    rms = float(prompter.deltas(images, start).square().mean().sqrt()) * 255
    assert 0.5 < rms < 5
    trigger = prompter.to_tensors(start)["trigger"]
    assert -1e-6 <= trigger.min() < 0.01
    assert 0.09 < trigger.max() < 0.1 + 1e-6


@pytest.mark.parametrize("epsilon", [0.05, 0.25, 1.0])
@pytest.mark.parametrize("width", [8, 16, 32])
def test_a_step_from_the_start_has_about_the_size_that_it_says(epsilon: float, width: int) -> None:
    """Without the gain, epsilon alone would put these sizes 20 times apart."""
    prompter, images = make(epsilon=epsilon, width=width), photos()
    start = prompter.start(generator=seeded()).double()
    sizes = []
    for seed in range(20):
        step = 1e-3 * torch.randn(prompter.num_params, generator=seeded(seed), dtype=torch.float64)
        moved = prompter.deltas(images, start + step) - prompter.deltas(images, start)
        sizes.append(float(moved.square().mean().sqrt()) / (float(step.norm()) / math.sqrt(prompter.num_params)))
    assert 0.7 < np.mean(sizes) < 1.4


def test_every_layer_can_be_felt_at_the_start() -> None:
    prompter, images = make(), photos()
    start = prompter.start(generator=seeded())
    felt = effects(prompter, images, start)
    assert min(felt.values()) > 1e-5
    tensors = prompter.to_tensors(start)
    tensors["last.pointwise"] = torch.zeros_like(tensors["last.pointwise"])  # negative control: a last layer of zeros
    silent = effects(prompter, images, prompter.from_tensors(tensors))
    assert {name for name, effect in silent.items() if effect > 0} == {"last.pointwise", "last.shift"}


def effects(prompter: Coordinator, images: Tensor, x: Tensor) -> dict[str, float]:
    tensors, result = prompter.to_tensors(x), {}
    for name, tensor in tensors.items():
        moved = {**tensors, name: tensor + 0.1 * torch.randn(tensor.shape, generator=seeded(1))}
        apart = prompter.deltas(images, prompter.from_tensors(moved)) - prompter.deltas(
            images, prompter.from_tensors(tensors)
        )
        result[name] = float(apart.square().mean().sqrt())
    return result


def test_images_get_prompts_of_their_own() -> None:
    prompter, images = make(), photos()
    deltas = prompter.deltas(images, prompter.start(generator=seeded()))
    apart = (deltas[0] - deltas[1]).square().mean().sqrt() / deltas.square().mean().sqrt()
    assert apart > 0.1


def test_other_candidates_leave_no_trace() -> None:
    prompter, images = make(), photos()
    x = prompter.start(generator=seeded())
    first = prompter(images, x)
    for seed in range(3):
        prompter(images, x + torch.randn(x.shape, generator=seeded(seed)))
    prompter(photos(seed=5), x)
    assert torch.equal(prompter(images, x), first)
    assert torch.equal(make()(images, x), first)


def apart_from_batch(images: Tensor) -> Tensor:
    prompter = make()
    x = prompter.start(generator=seeded()) + torch.randn(prompter.num_params, generator=seeded(1))
    together = prompter.deltas(images, x)
    alone = torch.cat([prompter.deltas(images[i : i + 1], x) for i in range(len(images))])
    order = torch.tensor([2, 0, 3, 1])
    shuffled = prompter.deltas(images[order], x)
    steps = steps_apart(prompter(images, x)[order], prompter(images[order], x))
    assert steps.mean() < 1e-3
    return torch.stack([(alone - together).abs().max(), (shuffled - together[order]).abs().max()])


def test_a_prompt_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apart_from_batch(photos()).max() < 1e-6
    monkeypatch.setattr(
        coordinator, "group_norm", lambda maps, _, scale, shift: batch_norm(maps, None, None, scale, shift, True)
    )
    assert apart_from_batch(photos())[0] > 1e-2  # negative control: BatchNorm mixes the images of a batch


def test_candidates_on_the_same_images_ask_the_encoder_once() -> None:
    prompter, images = make(), photos()
    encoder = prompter.encoder
    x = prompter.start(generator=seeded())
    for scale in (1.0, 1.1, 1.2):
        prompter(images, scale * x)
    assert encoder.num_requests == 1
    prompter(images.clone(), x)
    assert encoder.num_requests == 2


def test_images_that_were_written_to_are_asked_about_again() -> None:
    prompter, images = make(), photos()
    x = prompter.start(generator=seeded())
    prompter(images, x)
    images.copy_(photos(seed=5))
    assert torch.equal(prompter(images, x), make()(photos(seed=5), x))
    with torch.inference_mode():
        images = photos()
        prompter(images, x)
        images.copy_(photos(seed=5))
        assert torch.equal(prompter(images, x), make()(photos(seed=5), x))


def test_works_in_float32_under_autocast() -> None:
    images, x = photos(), make().start(generator=seeded())
    expected = make().deltas(images, x)
    assert not torch.equal(expected, expected.bfloat16().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(torch.ones(1, 2), torch.ones(1, 2)).dtype == torch.bfloat16
        assert torch.equal(make().deltas(images, x), expected)


def test_an_encoder_may_want_another_size() -> None:
    prompter = Coordinator.beside(encoder(size=(20, 24)), SIZE)
    assert prompter(photos(), prompter.start(generator=seeded())).shape == (4, 3, *SIZE)


def test_comes_back_from_its_file(tmp_path: Path) -> None:
    prompter, images = make(epsilon=0.5, width=4, min_trigger=3), photos()
    x = prompter.start(generator=seeded()) + torch.randn(prompter.num_params, generator=seeded(1))
    save_file(prompter.to_tensors(x), tmp_path / "adapter.safetensors")
    text = json.dumps(prompter.spec.to_json())
    again = Coordinator(encoder(), CoordinatorSpec.from_json(json.loads(text)))
    loaded = again.from_tensors(load_file(tmp_path / "adapter.safetensors"))
    torch.testing.assert_close(loaded, x)
    torch.testing.assert_close(again.deltas(images, loaded), prompter.deltas(images, x))
    assert again.spec == prompter.spec
    assert sum(tensor.numel() for tensor in prompter.to_tensors(x).values()) == prompter.num_params


@pytest.mark.parametrize(
    ("other", "digest", "message"),
    [
        (encoder("other", 10), "", "features of 'pooled', 20 numbers; 'other' answers 10"),
        (encoder("other"), "", "features of 'pooled', got 'other'"),
        (encoder(), "b" * 64, "with the weights aaaaaaaaaaaa, got bbbbbbbbbbbb"),
    ],
)
def test_refuses_another_encoder(other: DirectQuerier, digest: str, message: str) -> None:
    spec = Coordinator.beside(encoder(), SIZE, weights_sha256="a" * 64).spec
    with pytest.raises(PromptError, match=message):
        Coordinator(other, spec, weights_sha256=digest)


def test_takes_the_same_weights_under_another_name() -> None:
    spec = Coordinator.beside(encoder(), SIZE, weights_sha256="a" * 64).spec
    assert Coordinator(encoder("alias"), spec, weights_sha256="a" * 64).spec == spec


@pytest.mark.parametrize(
    "change",
    [{"width": 0}, {"image_size": [32]}, {"image_size": 32}, {"epsilon": 2}, {"colour": 1}, {"num_features": "many"}],
)
def test_refuses_a_damaged_description(change: dict[str, object]) -> None:
    values = make().spec.to_json()
    with pytest.raises(PromptError, match="description of a coordinator is damaged"):
        CoordinatorSpec.from_json({**values, **change})
    with pytest.raises(PromptError, match="damaged"):
        CoordinatorSpec.from_json({name: value for name, value in values.items() if name != "image_size"})


def test_refuses_weights_of_other_sizes() -> None:
    prompter, wide = make(), make(width=20)
    tensors = wide.to_tensors(wide.start(generator=seeded()))
    with pytest.raises(PromptError, match=r"0.pointwise is \(20, 3, 1, 1\), expected \(16, 3, 1, 1\)"):
        prompter.from_tensors(tensors)
    tensors = prompter.to_tensors(prompter.start(generator=seeded()))
    with pytest.raises(PromptError, match=r"trigger is missing, expected \(127,\) \(1 of"):
        prompter.from_tensors({name: tensor for name, tensor in tensors.items() if name != "trigger"})


def test_names_what_it_wants() -> None:
    prompter = make()
    with pytest.raises(ShapeError, match=r"expected images \(N, 3, 32, 32\)"):
        prompter(photos(size=(16, 16)), prompter.start(generator=seeded()))
    with pytest.raises(ShapeError, match="expected x"):
        prompter(photos(), torch.zeros(3))
    for sizes, error in (({"width": 0}, ConfigError), ({"min_trigger": -1}, ConfigError), ({"epsilon": 0}, RangeError)):
        with pytest.raises(error, match="the coordinator's"):
            make(**sizes)


@pytest.mark.parametrize(
    ("num_features", "size", "trigger", "doublings"),
    [(1000, (224, 224), 127, 5), (768, (224, 224), 114, 5), (192, (32, 32), 102, 2), (20, (384, 384), 127, 6)],
)
def test_sizes(num_features: int, size: tuple[int, int], trigger: int, doublings: int) -> None:
    spec = CoordinatorSpec("any", "", num_features, size)
    assert (spec.num_trigger, spec.num_doublings) == (trigger, doublings)
    assert (num_features + trigger) % 49 == 0
    assert CoordinatorSpec("mae", "", 768, (224, 224), min_trigger=800).num_trigger == 800  # as published


@pytest.mark.assets
def test_reads_a_real_encoder(assets: Path) -> None:
    model = DirectQuerier(load_model("torchvision:resnet18", weights=assets / "weights/resnet18.safetensors"))
    prompter = Coordinator.beside(model, (224, 224))
    assert prompter.num_params == 2834
    files = sorted((assets / "data/imagenet-samples").glob("*.jpg"))[::250]
    pixels = np.stack([Canvas((224, 224)).make(decode(file)) for file in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    x = prompter.start(generator=seeded())
    deltas, prompted = prompter.deltas(images, x), prompter(images, x)
    assert model.num_requests == 1
    assert 0.5 < float(deltas.square().mean().sqrt()) * 255 < 5
    assert float((deltas - deltas.mean(dim=0)).square().mean().sqrt()) * 255 > 0.5
    alone = torch.cat([prompter(images[i : i + 1], x) for i in range(len(images))])
    steps = steps_apart(alone, prompted)
    assert steps.max() <= 1  # a tie of the rounding may fall either way
    assert steps.mean() < 1e-3
