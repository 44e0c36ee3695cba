"""DAM-VP's prompts: the clusters, which prompt an image gets, the meta-prompt and the PNG of each cluster."""

import numpy as np
import pytest
import torch

from pixprompt.adapters import METHODS
from pixprompt.core import ConfigError, PromptError
from pixprompt.models import as_model
from pixprompt.outputs import make_output
from pixprompt.templates import make_template

SIDE = 8


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adapter(prompts: int = 2, **options):
    """The model answers with the mean of each channel, so images of one colour are one cluster."""
    model = as_model(lambda images: images.mean((2, 3)), image_size=SIDE, num_outputs=3, name="colours")
    template = make_template("padding", canvas_size=(SIDE, SIDE), size=2)
    output = make_output("first-k", classes=("a", "b"), spec=model.spec)
    return METHODS["dam-vp"].maker()(template, model, output, prompts=prompts, **options)


def colored(*colors: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(colors).view(-1, 3, 1, 1).expand(-1, 3, SIDE, SIDE).contiguous()


def test_images_get_the_prompt_of_the_nearest_cluster() -> None:
    prompt = adapter()
    answers = torch.tensor([[0.8, 0.0, 0.1], [0.4, 0.0, 0.1], [0.1, 0.9, 0.0], [0.0, 0.6, 0.0], [0.6, 0.1, 0.0]])
    prompt.find_clusters(answers, generator=seeded())
    directions = torch.nn.functional.normalize(answers, dim=1)
    means = [directions[[0, 1, 4]].mean(0), directions[[2, 3]].mean(0)]
    red = int((prompt.prototypes - means[0]).norm(dim=1).argmin())
    torch.testing.assert_close(prompt.prototypes[red], means[0])
    torch.testing.assert_close(prompt.prototypes[1 - red], means[1])
    images = colored((0.2, 0.0, 0.0), (0.0, 0.4, 0.0), (1.0, 0.2, 0.2))
    assert prompt.clusters_of(images).tolist() == [red, 1 - red, red]
    with torch.no_grad():
        prompt.thetas[red], prompt.thetas[1 - red] = 0.1, 0.3
    prompted = prompt.prompted(images, quantize=False).detach()
    assert prompted[:, 1, 0, 0].tolist() == pytest.approx([0.1, 0.7, 0.3])
    assert torch.equal(prompted[:, :, 3, 3], images[:, :, 3, 3])


def test_a_gradient_reaches_the_prompts_of_the_images_alone() -> None:
    prompt = adapter()
    prompt.prototypes.copy_(torch.eye(3)[:2])
    prompt.outputs(colored((0.5, 0.0, 0.0))).sum().backward()
    assert int(prompt.thetas.grad[0].count_nonzero()) == prompt.thetas.shape[1]
    assert int(prompt.thetas.grad[1].count_nonzero()) == 0


def test_every_cluster_is_a_png_and_a_meta_prompt_is_where_all_start(tmp_path) -> None:
    first = adapter()
    with torch.no_grad():
        first.thetas.copy_(0.2 * torch.randn(first.thetas.shape, generator=seeded()))
    with pytest.raises(PromptError, match="one per cluster"):
        first.to_prompt()
    for prompt, theta in zip(first.to_prompts(), first.thetas, strict=True):
        pixels = np.full((SIDE, SIDE, 3), 100, np.uint8)
        images = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0) / 255
        shown = (first.template(images, theta)[0].detach() * 255).round().permute(1, 2, 0).numpy()
        assert np.array_equal(prompt.overlay(pixels), shown)
    assert first.to_prompts()[1].model == first.model.spec.name
    first.to_prompts()[1].save(tmp_path / "meta.png")
    second = adapter(3, meta=str(tmp_path / "meta.png"))
    assert torch.equal(second.thetas[0], second.thetas[2])
    torch.testing.assert_close(second.thetas[0], first.thetas[1], atol=1 / 127, rtol=0)
    assert not second.blank_start


def test_too_few_images_are_no_clusters() -> None:
    with pytest.raises(ConfigError, match="2 training images make no 3 clusters"):
        adapter(3).find_clusters(torch.eye(3)[:2], generator=seeded())
