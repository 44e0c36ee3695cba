"""Features and saliency maps of adapters of every family: the input of the head, maps on the grid of the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pixprompt.adapters import make_vpt
from pixprompt.adapters.whitebox import WhiteBox
from pixprompt.backbones.features import features
from pixprompt.core import ModelError
from pixprompt.report.figures.adapter_gradcam import explain_adapter
from pixprompt.report.figures.features import head_inputs, silhouette
from pixprompt.report.saliency.gradcam import gradcam

from ..adapters.baseline_toy import CLASSES, make, model_of, pictures, seeded, sharpened, trace

LABELS = torch.tensor([0, 1, 2])


def adapter_of(net: str, method: str, **options: int) -> WhiteBox:
    model = model_of(net)
    if method.startswith("vpt"):
        return sharpened(make_vpt(model, CLASSES, deep=method == "vpt-deep", generator=seeded(7), **options)).eval()
    return sharpened(make(method, model, **options)).eval()


@pytest.mark.parametrize(
    ("net", "method", "grid"),
    [
        *(("timm-vit", method, (4, 4)) for method in ("vpt-shallow", "vpt-deep", "linear", "adapter", "full")),
        *(("timm-vit", method, (4, 4)) for method in ("mlp", "partial", "side")),
        *(("timm-resnet", method, (2, 2)) for method in ("linear", "full", "partial")),
        *(("swin", method, (8, 8)) for method in ("linear", "vpt-deep", "vpt-shallow")),
    ],
)
def test_every_family_is_looked_into_and_left_as_it_was(net: str, method: str, grid: tuple[int, int]) -> None:
    adapter = adapter_of(net, method)
    before = list(trace(adapter.model))
    explained = explain_adapter(adapter, pictures(), LABELS)
    with torch.no_grad():
        np.testing.assert_allclose(explained.probabilities, adapter(pictures()).double().softmax(1).numpy(), atol=1e-6)
    assert explained.maps is not None
    assert explained.maps.shape == (3, *grid)
    assert np.isfinite(explained.maps).all()
    assert explained.maps.max() == 1
    read = head_inputs(adapter, pictures())
    with torch.no_grad():
        torch.testing.assert_close(adapter.get_submodule("head")(read), adapter(pictures()))
    assert list(trace(adapter.model)) == before
    assert all(not module._forward_pre_hooks for module in adapter.modules())


def test_a_probe_reads_the_features_of_the_backbone_and_prompts_do_not() -> None:
    own = features(model_of("timm-vit"), pictures())
    torch.testing.assert_close(head_inputs(adapter_of("timm-vit", "linear"), pictures()), own)
    assert (head_inputs(adapter_of("timm-vit", "vpt-deep"), pictures()) - own).abs().max() > 0.01


@pytest.mark.parametrize("count", [1, 9])
def test_maps_do_not_depend_on_the_batch(count: int) -> None:
    """Ten prompts beside one image look like its tokens; nine images are one more than a batch."""
    adapter, images, labels = adapter_of("timm-vit", "vpt-deep"), pictures(9), torch.arange(9) % 3
    whole = gradcam(adapter.model.net, adapter, images, labels).maps.numpy()
    explained = explain_adapter(adapter, images[-count:], labels[-count:])
    assert explained.maps is not None
    np.testing.assert_allclose(explained.maps, whole[-count:], atol=1e-4)
    np.testing.assert_allclose(
        explained.probabilities, explain_adapter(adapter, images, labels).probabilities[-count:], rtol=1e-4
    )


@pytest.mark.parametrize("method", ["vpt-shallow", "vpt-deep"])
def test_many_prompts_are_told_from_the_tokens_of_the_image(method: str) -> None:
    explained = explain_adapter(adapter_of("timm-vit", method, tokens=30), pictures(), LABELS)
    assert explained.maps is not None
    assert explained.maps.shape == (3, 4, 4)


def test_a_method_without_gradients_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = adapter_of("timm-vit", "linear")
    monkeypatch.setattr(adapter, "forward", lambda images: images.flatten(1)[:, :3])
    explained = explain_adapter(adapter, pictures(), LABELS)
    assert explained.maps is None
    assert explained.reason.startswith("no Grad-CAM: the net has no convolution or token layer")
    assert explained.probabilities.shape == (3, 3)


def test_a_head_that_is_missing_or_called_twice_is_refused() -> None:
    adapter = adapter_of("timm-vit", "linear")
    forward = adapter.forward
    adapter.forward = lambda images: forward(images) + forward(images)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="called 2 times, expected once"):
        head_inputs(adapter, pictures())
    assert not adapter.get_submodule("head")._forward_pre_hooks
    adapter = adapter_of("timm-vit", "linear")
    del adapter.head
    with pytest.raises(ModelError, match="no submodule 'head'"):
        head_inputs(adapter, pictures())


def test_a_silhouette_of_points_on_a_line() -> None:
    pytest.importorskip("sklearn")
    points, labels = torch.tensor([[0.0], [1.0], [4.0], [5.0]]), np.array([0, 0, 1, 1])
    # (b - a) / b with a = 1 and b = 4.5, 3.5, 3.5, 4.5.
    assert silhouette(points, labels) == pytest.approx((3.5 / 4.5 + 2.5 / 3.5) / 2)
    mixed = silhouette(points, np.array([0, 1, 0, 1]))
    assert mixed is not None
    assert mixed < 0
    for useless in (np.zeros(4, int), np.arange(4)):
        assert silhouette(points, useless) is None
