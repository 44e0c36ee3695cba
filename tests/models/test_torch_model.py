"""The border of a torch model: ranges, shapes, finite answers, gradients, and nets that stay as they were."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor, nn

from pixprompt.core import Access, AccessError, Model, ModelError, ModelSpec, RangeError, ShapeError
from pixprompt.models import DirectQuerier, TorchModel
from pixprompt.models.frozen import frozen
from pixprompt.tensor_checks import check_outputs

SPEC = ModelSpec("tiny", (8, 8), 5)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


def make_net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
        )
    return net


def make_images(num: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(num, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def digest(net: nn.Module) -> str:
    content = b"".join(value.detach().contiguous().numpy().tobytes() for value in net.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def flags(net: nn.Module) -> list[bool]:
    return [module.training for module in net.modules()] + [p.requires_grad for p in net.parameters()]


@pytest.mark.parametrize("owned", [True, False])
def test_answers_are_those_of_the_net_on_normalised_images(owned: bool) -> None:
    images, net = make_images(), make_net()
    by_hand = (images - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    with frozen(net):
        expected, unnormalised = net(by_hand), net(images)
    model = TorchModel(make_net(), SPEC, mean=MEAN, std=STD, owned=owned)
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.answer(by_hand), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, unnormalised, atol=1e-2), "the comparison must notice a missing normalisation"


def test_is_a_model_with_a_std_per_channel() -> None:
    model = TorchModel(make_net(), SPEC, mean=MEAN, std=STD)
    assert isinstance(model, Model)
    assert model.std.tolist() == pytest.approx(STD)
    assert model.access is Access.INTERNALS


@pytest.mark.parametrize("owned", [True, False])
def test_gradients_flow_to_the_images_and_to_nothing_else(owned: bool) -> None:
    model = TorchModel(make_net(), SPEC, owned=owned)
    images = make_images().requires_grad_()
    model(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_net_of_a_caller_is_not_modified() -> None:
    net = make_net().train()
    net[5].bias.requires_grad_(False)
    before, flags_before = digest(net), flags(net)
    model = TorchModel(net, SPEC)
    first = model(make_images())
    assert torch.equal(first, model(make_images())), "dropout must be off while the model answers"
    assert (digest(net), flags(net)) == (before, flags_before)
    net(make_images())
    assert digest(net) != before, "the digest must notice a BatchNorm update"


def test_a_loaded_net_keeps_its_bytes_and_gets_channels_last() -> None:
    net = make_net().train()
    before = digest(net)
    TorchModel(net, SPEC, owned=True)
    assert digest(net) == before
    assert not any(flags(net))
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_frozen_restores_flags_after_an_error() -> None:
    net = make_net().train()
    net[1].eval()
    flags_before = flags(net)

    def fail() -> None:
        with frozen(net):
            assert not any(flags(net))
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert flags(net) == flags_before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x - 0.5) / 0.2, r"min -2\.\d+, max 2\.\d+. Already normalised\? Models do that themselves"),
        (lambda x: x * 1.1, r"max 1\.\d+. Already normalised"),
        (lambda x: x * 255, r"Still 0\.\.255\? Divide by 255"),
        (lambda x: (x * 255).to(torch.uint8), r"got torch\.uint8"),
        (lambda x: x * float("nan"), "NaN"),
    ],
)
def test_images_out_of_range(change, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        TorchModel(make_net(), SPEC)(change(make_images()))


def test_a_rounding_error_is_no_violation() -> None:
    images = make_images()
    images[0, 0, 0, 0], images[0, 0, 0, 1] = 1 + 1e-7, -1e-8
    assert TorchModel(make_net(), SPEC)(images).shape == (3, 5)


def test_unclamped_images_pass_where_the_model_is_a_torch_model() -> None:
    images, counted = make_images() * 3 - 1, DirectQuerier(TorchModel(make_net(), SPEC, mean=MEAN, std=STD))
    with pytest.raises(RangeError):
        counted.model(images)
    model = TorchModel(make_net(), SPEC, mean=MEAN, std=STD)
    assert torch.equal(counted.unclamped(images), model.answer(model.normalize(images)))
    assert (counted.num_images, counted.num_requests) == (3, 1)
    with pytest.raises(AccessError, match="needs a local torch model"):
        DirectQuerier(DirectQuerier(model)).unclamped(images)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8), (2, 3, 8, 9), (2, 8, 8, 3), (0, 3, 8, 8)])
def test_images_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected images \(N, 3, 8, 8\).*got \("):
        TorchModel(make_net(), SPEC)(torch.zeros(shape))


class Replying(nn.Module):
    def __init__(self, reply) -> None:
        super().__init__()
        self.reply = reply

    def forward(self, images: Tensor):
        return self.reply(images)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (lambda x: x.new_full((len(x), 5), float("nan")), "NaN or infinity in 3 of 3 answers"),
        (lambda x: x.new_ones(len(x), 5) / torch.tensor([0.0, 1, 1, 1, 1]), "NaN or infinity in 3"),
        (lambda x: x.new_zeros(len(x), 4), r"a tensor \(3, 4\), expected \(3, 5\)"),
        (lambda x: x.new_zeros(len(x)), r"a tensor \(3,\), expected \(3, 5\)"),
        (lambda x: x.new_zeros(1, 5), r"a tensor \(1, 5\), expected \(3, 5\)"),
        (lambda x: x.new_zeros(len(x), 5, 2), r"a tensor \(3, 5, 2\)"),
        (lambda x: {"logits": x}, "returned dict, expected a tensor"),
        (lambda x: x.detach().numpy(), "returned ndarray"),
    ],
)
@pytest.mark.parametrize("owned", [True, False])
def test_answers_that_are_nonsense(reply, message: str, owned: bool) -> None:
    with pytest.raises(ModelError, match=message):
        TorchModel(Replying(reply), SPEC, owned=owned)(make_images())


def test_outputs_become_float32() -> None:
    assert check_outputs(torch.ones(2, 3, dtype=torch.float16), 2, 3, "x").dtype == torch.float32
    with pytest.raises(ModelError, match=r"\(2, 0\)"):
        check_outputs(torch.ones(2, 0), 2, None, "x")


def test_counted_equals_the_model() -> None:
    model = TorchModel(make_net(), SPEC)
    counted = DirectQuerier(model)
    assert isinstance(counted, Model)
    assert (counted.spec, counted.access) == (model.spec, model.access)
    one, other = (make_images(4).requires_grad_() for _ in range(2))
    answers, expected = counted(one), model(other)
    assert torch.equal(answers, expected)
    answers.sum().backward()
    expected.sum().backward()
    assert torch.equal(one.grad, other.grad)
    counted(make_images(3))
    assert (counted.num_images, counted.num_requests) == (7, 2)
    with pytest.raises(RangeError):
        counted(make_images(2) + 1)
    assert (counted.num_images, counted.num_requests) == (9, 3)
