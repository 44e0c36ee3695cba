"""Output transforms on the answers of real models to real photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from pixprompt.core import AnswerKind, ModelSpec
from pixprompt.outputs import candidates, make_output, output_from_json
from pixprompt.outputs.base import Transform

pytestmark = pytest.mark.assets
PLAIN = "This is a photo of a {}"


def photos(folder: Path, per_class: int, size: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The first photos of each class of a folder, in [0, 1]."""
    classes = tuple(sorted(path.name for path in folder.iterdir()))
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir())[:per_class]:
            canvas = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
            images.append(torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float() / 255)
            labels.append(label)
    return torch.stack(images), torch.tensor(labels), classes


def accuracy(output: Transform, answers: Tensor, labels: Tensor) -> float:
    return float((output(answers).argmax(1) == labels).float().mean())


@pytest.fixture(scope="module")
def clip(assets: Path) -> open_clip.CLIP:
    name = f"local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}"
    return open_clip.create_model(name).eval()


@pytest.fixture(scope="module")
def encode_text(assets: Path, clip: open_clip.CLIP) -> object:
    tokenize = open_clip.get_tokenizer(f"local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}")

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> Tensor:
        return torch.cat([clip.encode_text(tokenize(list(texts[k : k + 200]))) for k in range(0, len(texts), 200)])

    return encode


def test_text_prompts_are_the_zero_shot_logits_of_open_clip(
    assets: Path, clip: open_clip.CLIP, encode_text: object
) -> None:
    images, labels, classes = photos(assets / "data" / "cifar10" / "test", 3, 224)
    tokenize = open_clip.get_tokenizer(f"local-dir:{assets / 'weights' / 'mini-clip-vit-ti16'}")
    with torch.no_grad():
        embedded = clip.encode_image((images - 0.5) / 0.5, normalize=True)
        expected = clip.get_logits((images - 0.5) / 0.5, tokenize([PLAIN.format(name) for name in classes]))[0]
    spec = ModelSpec("mini-clip", (224, 224), embedded.shape[1], AnswerKind.EMBEDDINGS)
    output = make_output(
        "text", classes=classes, spec=spec, encode_text=encode_text, logit_scale=float(clip.logit_scale.detach().exp())
    )
    torch.testing.assert_close(output(embedded), expected, rtol=1e-4, atol=1e-3)
    assert accuracy(output, embedded, labels) > 0.5
    ensemble = make_output("text", classes=classes, spec=spec, encode_text=encode_text, texts=(PLAIN, "a blurry {}"))
    assert accuracy(ensemble, embedded, labels) > 0.5
    again = output_from_json(output.to_json(), spec=spec)
    assert torch.equal(again(embedded), output(embedded))


@pytest.mark.slow
def test_mappings_of_an_imagenet_classifier(assets: Path, encode_text: object) -> None:
    net = torchvision.models.resnet18()
    net.load_state_dict(load_file(assets / "weights" / "resnet18.safetensors"))
    net.eval()
    labels_1k = tuple(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    spec = ModelSpec("resnet18", (224, 224), 1000, labels=labels_1k)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def ask(folder: str, per_class: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        images, labels, classes = photos(assets / "data" / "cifar10" / folder, per_class, 224)
        normalized = (images - mean[:, None, None]) / std[:, None, None]
        with torch.no_grad():
            return torch.cat([net(part) for part in normalized.split(50)]), labels, classes

    answers, labels, classes = ask("train", 30)
    probe, truth, _ = ask("test", 15)
    scores = {}
    for kind in (*candidates(spec, False), "first-k", "random", "semantic"):
        output = make_output(kind, classes=classes, spec=spec, encode_text=encode_text).refit(answers, labels)
        scores[kind] = accuracy(output, probe, truth)
    assert max(scores["first-k"], scores["random"]) < 0.25
    assert scores["frequency"] > 0.3
    assert scores["semantic"] > 0.3
    assert scores["blm+"] > scores["first-k"] + 0.2
    assert scores["linear"] == max(scores.values())
    assert scores["linear"] > 0.6, scores
