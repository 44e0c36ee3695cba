"""The view of a ConvNet: first convolution and rest, composed, are the library's forward."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from pixprompt.backbones.convnet import ConvNet
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.models import TorchModel, load_model

from .convnet_toy import NETS, convnet, pictures


def classifier(net: nn.Module) -> nn.Module:
    return [module for module in net.modules() if isinstance(module, nn.Linear)][-1]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("owned", [True, False])
def test_features_are_what_the_models_own_classifier_sees(name: str, owned: bool) -> None:
    model = convnet(name, owned=owned)
    view = ConvNet(model)
    with view.model.held():
        features = view.features(pictures(2))
        answers = classifier(model.net)(features)
    assert features.shape == (2, view.width)
    torch.testing.assert_close(answers, model(pictures(2)), rtol=1e-4, atol=1e-5)
    assert float((answers[0] - answers[1]).abs().max()) > 1e-4  # or the comparison would say nothing


@pytest.mark.parametrize("name", NETS)
def test_parameters_are_all_but_the_classifiers(name: str) -> None:
    view = ConvNet(convnet(name))
    counted = sum(parameter.numel() for parameter in view.parameters())
    assert counted == sum(parameter.numel() for parameter in view.net.parameters()) - 5 * view.width - 5
    assert any(view.first.weight is parameter for parameter in view.parameters())


@pytest.mark.parametrize("name", NETS)
def test_stem_stages_and_pool_composed_are_the_features(name: str) -> None:
    view = ConvNet(convnet(name))
    maps = embedded = view.embed(pictures(2))
    torch.testing.assert_close(view.rest(view.first(view.model.prepare(pictures(2)))), view.features(pictures(2)))
    sizes = []
    for stage in view.stages:
        whole, maps = stage(maps), stage.enter(maps)
        for block in stage.blocks:
            maps = block(maps)
        torch.testing.assert_close(whole, maps, rtol=0, atol=0)
        sizes.append(maps.shape[2:])
    torch.testing.assert_close(view.pool(maps), view.features(pictures(2)), rtol=0, atol=0)
    assert len(view.stages) == (2 if name == "torchvision-convnext" else 4)
    assert embedded.shape[2:] == sizes[0] == (8, 9)  # what makes maps smaller leads into a stage, or is its first block
    assert sizes[1] in ((4, 5), (4, 4))
    assert [stage.merge is not None for stage in view.stages][1:] == ["convnext" in name] * (len(view.stages) - 1)


def test_a_model_without_classifier_is_opened_too() -> None:
    model = convnet()
    model.net.reset_classifier(0)
    view = ConvNet(model)
    torch.testing.assert_close(
        view.features(pictures(2)), model.net(model.normalize(pictures(2))), rtol=1e-5, atol=1e-6
    )


def test_other_models_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="thing is Flatten; expected a ResNet or a ConvNeXt"):
        ConvNet(TorchModel(nn.Flatten(), ModelSpec("thing", (8, 8), 5)))


def test_a_resnet_that_begins_with_something_else_is_refused() -> None:
    net = resnet18(num_classes=5)
    net.conv1 = nn.Identity()
    with pytest.raises(ConfigError, match="that begins with a convolution"):
        ConvNet(TorchModel(net, ModelSpec("thing", (8, 8), 5)))


@pytest.mark.assets
def test_the_features_of_a_real_resnet_give_its_answers(assets) -> None:
    model = load_model("resnet18", weights=assets / "weights/resnet18.safetensors")
    view = ConvNet(model)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.net.fc(view.features(images)), model(images), rtol=1e-5, atol=1e-5)
    assert view.width == 512
    assert view.features(images[:, :, :-24, :-7]).shape == (2, 512)  # any size
