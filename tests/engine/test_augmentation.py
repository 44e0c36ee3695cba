"""Random changes of training images: where they are, what they leave alone, and that a generator decides."""

import torch

from pixprompt.canvas import Canvas
from pixprompt.engine import train
from pixprompt.engine.fit.gradients.augmentation import augmentation

from .toy import history


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_frame_stays_and_the_image_moves_within_a_margin() -> None:
    canvas = Canvas((18, 18), fit="shrink", frame=2)  # the image lies on 14x14, "crop" enlarges it to 16x16
    rows = torch.arange(14).view(1, 1, 14, 1).expand(40, 3, 14, 14) / 255
    images = torch.full((40, 3, 18, 18), 200 / 255)
    images[:, :, 2:16, 2:16] = rows * 10
    changed = augmentation("crop", canvas)(images, seeded(0))
    frame = torch.ones(18, 18, dtype=torch.bool)
    frame[2:16, 2:16] = False
    assert torch.equal(changed[:, :, frame], images[:, :, frame])
    larger = torch.nn.functional.interpolate(images[:1, :, 2:16, 2:16], (16, 16), mode="bilinear")[0, 0, :, 0]
    cuts = [(larger[top : top + 14] * 255).round() / 255 for top in range(3)]
    inside = changed[:, 0, 2:16, 2]
    assert {next(i for i, cut in enumerate(cuts) if torch.equal(cut, column)) for column in inside} == {0, 1, 2}


def test_half_are_mirrored_as_the_generator_says() -> None:
    images = torch.randint(0, 256, (200, 3, 4, 6), generator=seeded(1)) / 255
    augment = augmentation("flip", Canvas((4, 6)))
    changed = augment(images, seeded(2))
    mirrored = (changed == images.flip(3)).flatten(1).all(1)
    assert torch.equal(torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images), changed)
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(augment(images, seeded(2)), changed)
    assert augmentation("none", Canvas((4, 6))) is None


def test_it_is_training_alone_that_sees_them(config, model, data, tmp_path) -> None:
    """With a learning rate of nothing the validation images say the same, the training images do not."""
    lines = []
    for kind in ("none", "crop"):
        settings = config.with_values(optimizer="sgd", lr=0.0, epochs=1, augment=kind)
        train(settings, out=tmp_path / kind, model=model, data=data)
        lines += history(tmp_path / kind)
    assert lines[0]["val_loss"] == lines[1]["val_loss"]
    assert lines[0]["train_loss"] != lines[1]["train_loss"]
