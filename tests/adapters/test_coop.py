"""CoOp against texts that a person could have written: with their token embeddings it is the text side itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from pixprompt.adapters import make_white_box
from pixprompt.core import ConfigError
from pixprompt.models import DualEncoder, load_model

from ..backbones.vit_toy import vit
from .clip_toy import toy_clip

CLASSES = ("dog", "big dog", "c")


@pytest.mark.parametrize(
    ("place", "pattern"), [("end", "a photo of a {}."), ("middle", "a photo {} of a."), ("front", "{} a photo of a.")]
)
@pytest.mark.parametrize("own", [False, True])
def test_with_the_embeddings_of_words_it_reads_the_words(place: str, pattern: str, own: bool) -> None:
    model = toy_clip()
    options = {"class_place": place, "context_per_class": own}
    adapter = make_white_box("coop", model, CLASSES, context_text="a photo of a", **options)
    assert adapter.num_tuned == (3 if own else 1) * 4 * 8
    texts = model.encode_text([pattern.format(name) for name in CLASSES])
    torch.testing.assert_close(adapter.weights(), texts)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(adapter(images), model.logit_scale * model(images) @ texts.T)
    assert not any(isinstance(module, type(adapter)) for module in model.net.modules())


def test_only_the_vectors_learn_and_the_texts_are_encoded_once() -> None:
    model = toy_clip()
    adapter = make_white_box("coop", model, CLASSES, context=3)
    parts = adapter.frozen(torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        loss = cross_entropy(adapter.train().tuned(parts), torch.tensor([0, 1, 2] * 2))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(value.grad is None for value in model.net.parameters())
    calls = []
    handle = model.net.ln_final.register_forward_hook(lambda *_: calls.append(1))
    first, again = adapter.eval().tuned(parts), adapter.tuned(parts)
    assert torch.equal(first, again)
    assert len(calls) == 1
    with torch.no_grad():
        adapter.context.add_(1)
    assert not torch.allclose(adapter.tuned(parts), first)
    handle.remove()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no text side"):
        make_white_box("coop", vit(), CLASSES)
    with pytest.raises(ConfigError, match="too long; take fewer"):
        make_white_box("coop", toy_clip(), CLASSES, context=20)
    with pytest.raises(ConfigError, match="1 or more vectors"):
        make_white_box("coop", toy_clip(), CLASSES, context_text="")
    with pytest.raises(ConfigError, match="another way than CLIP's"):
        make_white_box("coop", vit("clip"), CLASSES)


@pytest.mark.assets
def test_a_real_text_side_reads_the_words(assets: Path) -> None:
    model = load_model(f"open_clip:local-dir:{assets / 'weights/mini-clip-vit-ti16'}")
    assert isinstance(model, DualEncoder)
    adapter = make_white_box("coop", model, ("goldfish", "golden retriever"), context_text="a photo of a")
    texts = model.encode_text(["a photo of a goldfish.", "a photo of a golden retriever."])
    torch.testing.assert_close(adapter.weights(), texts, rtol=1e-4, atol=1e-5)
