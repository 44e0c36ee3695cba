"""VPT on ConvNets: the image stays whole, the frame and the extra channels learn, the backbone does not."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from pixprompt.adapters.vpt.convnet import ChannelConvNet, PaddedConvNet
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import TorchModel

from ..backbones.convnet_toy import NETS, SIZE, convnet, pictures
from ..backbones.swin_toy import CLASSES, seeded, swin


def padded(name: str = NETS[0], *, owned: bool = True, **options) -> PaddedConvNet:
    return PaddedConvNet(convnet(name, owned=owned), CLASSES, generator=seeded(), **options)


def channeled(name: str = NETS[0], *, owned: bool = True, **options) -> ChannelConvNet:
    return ChannelConvNet(convnet(name, owned=owned), CLASSES, generator=seeded(), **options)


def test_the_image_stays_whole_inside_the_learned_pixels() -> None:
    adapter, images = padded(pad=3), pictures(2)
    prompted = adapter.prompted(images).detach()
    height, width = SIZE
    assert prompted.shape == (2, 3, height + 6, width + 6)
    assert torch.equal(prompted[:, :, 3:-3, 3:-3], images)
    frame = torch.ones(3, height + 6, width + 6, dtype=torch.bool)
    frame[:, 3:-3, 3:-3] = False
    assert torch.equal(prompted[0][frame], prompted[1][frame])
    assert torch.equal(prompted[0][frame].sort().values, adapter.theta.detach().sort().values)


@pytest.mark.parametrize("pad", [1, 5])
def test_counts_are_those_of_the_paper(pad: int) -> None:
    adapter, (height, width) = padded(pad=pad), SIZE
    top_and_bottom, left_and_right = 3 * 2 * pad * (width + 2 * pad), 3 * height * 2 * pad
    assert adapter.theta.numel() == top_and_bottom + left_and_right == 6 * pad * (height + width + 2 * pad)
    assert adapter.num_tuned == adapter.theta.numel() + 3 * adapter.view.width + 3
    assert set(adapter.state_dict()) == {"theta", "head.last.weight", "head.last.bias"}
    assert adapter.num_backbone == sum(value.numel() for value in adapter.view.parameters())


def test_pixels_start_uniform_and_are_brought_back_into_range() -> None:
    adapter = padded()
    theta = adapter.theta.detach()
    assert 0 <= float(theta.min()) < 0.01
    assert 0.99 < float(theta.max()) <= 1
    assert float(theta.std()) == pytest.approx(12**-0.5, rel=0.05)
    with torch.no_grad():
        adapter.theta[0], adapter.theta[1] = -0.5, 1.5
    adapter.constrain()
    assert adapter.theta[:2].tolist() == [0, 1]


@pytest.mark.parametrize("name", NETS)
def test_the_model_sees_the_grown_image(name: str) -> None:
    adapter, images = padded(name, pad=4), pictures(2)
    expected = adapter.head(adapter.view.features(adapter.prompted(images)))
    torch.testing.assert_close(adapter(images), expected, rtol=0, atol=0)
    (same,) = adapter.frozen(images)
    assert same is images  # nothing precedes the first learned number
    other = padded(name, pad=4)
    with torch.no_grad():
        other.theta.zero_()
    assert float((other(images) - expected).abs().max().detach()) > 1e-6


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("make", [padded, channeled])
@pytest.mark.parametrize("name", NETS)
def test_gradients_reach_what_is_learned_and_the_backbone_stays(name: str, make, owned: bool) -> None:
    adapter = make(name, owned=owned)
    net = adapter.model.net
    before = {key: value.clone() for key, value in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    for _ in range(2):  # the channels' kernel starts at zero: the channels themselves move in the second step
        optimizer.zero_grad()
        adapter(pictures(2)).logsumexp(1).sum().backward()
        optimizer.step()
    for key, value in adapter.named_parameters():
        assert value.grad is not None, key
        assert float(value.grad.abs().sum()) > 0, key
    assert all(value.grad is None for value in net.parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == flags


def test_every_pixel_of_the_frame_gets_a_gradient_and_none_leaks_to_the_images() -> None:
    adapter = padded(pad=2)
    images = pictures(2).requires_grad_()
    adapter.prompted(images).square().sum().backward()
    torch.testing.assert_close(adapter.theta.grad, 2 * 2 * adapter.theta.detach())  # two images
    torch.testing.assert_close(images.grad, 2 * images.detach())


@pytest.mark.parametrize("name", NETS)
def test_channels_begin_as_the_backbone_and_end_as_a_wider_convolution(name: str) -> None:
    adapter, images = channeled(name, channels=2), pictures(2)
    expected = adapter.head(adapter.view.features(images))
    torch.testing.assert_close(adapter(images), expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        adapter.kernel.copy_(torch.randn(adapter.kernel.shape, generator=seeded(3)) * 0.1)
    first = adapter.view.first
    wide = nn.Conv2d(5, first.out_channels, first.kernel_size, first.stride, first.padding, bias=first.bias is not None)
    with torch.no_grad():
        wide.weight.copy_(torch.cat([first.weight, adapter.kernel], 1))
        if first.bias is not None:
            wide.bias.copy_(first.bias)
    stacked = torch.cat([adapter.view.model.prepare(images), adapter.prompt.expand(2, -1, -1, -1)], 1)
    wider = adapter.head(adapter.view.rest(wide(stacked)))
    torch.testing.assert_close(adapter(images), wider, rtol=1e-4, atol=1e-5)
    assert float((wider - expected).abs().max().detach()) > 1e-5
    assert adapter.num_tuned == 2 * SIZE[0] * SIZE[1] + adapter.kernel.numel() + 3 * adapter.view.width + 3
    assert set(adapter.state_dict()) == {"prompt", "kernel", "head.last.weight", "head.last.bias"}


def test_transformers_are_refused_with_the_reason() -> None:
    vit = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=1, num_heads=2, num_classes=5)
    for model in (TorchModel(vit, ModelSpec("toy-vit", (32, 32), 5)), swin()):
        with pytest.raises(ConfigError, match=r"embeddings \(ViT\) or windows \(Swin\).* expected a ResNet"):
            PaddedConvNet(model, CLASSES, pad=4, generator=seeded())


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"padding .* must lie in"):
        padded(pad=0)
    with pytest.raises(ConfigError, match="1 or more channels, got 0"):
        channeled(channels=0)
