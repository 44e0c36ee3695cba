"""SA²VP's first weights: the prompt adapters' first layer from N(0, 2/t), by fan-out, or from Xavier's uniform.

On the real ViT-Ti/16 at 96x96 pixels, 800 training and 500 test images of CIFAR-10, AdamW, cosine with one epoch of
warm-up, at the published learning rate (0.001) and at this tool's (0.003, and 0.01 which validated best in
experiments/vpt). The last epoch is tested. Both ways share all other first numbers, the order and the dropout.

python experiments/sa2vp-start/run.py ../shared
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

import pixprompt
from pixprompt.adapters import make_sa2vp

SIDE, EPOCHS, BATCH, TEST = 96, 3, 16, 500
STARTS, RATES, SEEDS = ("fan-out", "xavier"), (0.001, 0.01, 0.003), (0, 1, 2)


def backbone(shared):
    """The real ViT-Ti/16 for images of 96x96."""
    net = timm.create_model("vit_tiny_patch16_224", img_size=SIDE)
    tensors = load_file(shared / "weights" / "vit_tiny_patch16_224.safetensors")
    net.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(tensors, net))
    return pixprompt.as_model(net.eval(), image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)


def images_of(images, count, num_classes):
    """Balanced images, in turn of every class, as canvases (N, H, W, 3) and labels (N,)."""
    rng, canvas = np.random.default_rng(0), pixprompt.Canvas((SIDE, SIDE))
    by_class = [rng.permutation(np.flatnonzero(images.labels == label)) for label in range(num_classes)]
    chosen = np.stack([of_one[: count // num_classes] for of_one in by_class], 1).flatten()
    return np.stack([canvas.make(images.open(index)) for index in chosen]), torch.from_numpy(images.labels[chosen])


def restart(adapter, start, seed):
    """Draws the first layers anew."""
    generator = torch.Generator().manual_seed(seed + 1000)
    for part in adapter.adapters:
        num_outputs, num_inputs = part.down.weight.shape
        deviation = math.sqrt(2 / (num_outputs if start == "fan-out" else num_inputs + num_outputs))
        with torch.no_grad():
            if start == "fan-out":
                part.down.weight.copy_(torch.randn(part.down.weight.shape, generator=generator) * deviation)
            else:
                part.down.weight.uniform_(-math.sqrt(3) * deviation, math.sqrt(3) * deviation, generator=generator)


def once(model, classes, train, test, start, rate, seed):
    """Trains once; returns the accuracy on the test images and the training loss of each epoch."""
    adapter = make_sa2vp(model, classes, deep=True, generator=torch.Generator().manual_seed(seed))
    restart(adapter, start, seed)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=rate, weight_decay=1e-4)
    steps = len(train[1]) // BATCH
    rule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / steps, 0.5 + 0.5 * math.cos(math.pi * max(0, step - steps) / steps / (EPOCHS - 1))
        ),
    )
    generator, losses = torch.Generator().manual_seed(seed), []
    adapter.train()
    for _ in range(EPOCHS):
        total = 0.0
        for chosen in torch.randperm(len(train[1]), generator=generator).split(BATCH):
            read = adapter.supervised((train[0][chosen],), generator=generator)
            loss = sum(share * cross_entropy(logits, train[1][chosen]) for share, logits in read)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rule.step()
            total += float(loss.detach()) * len(chosen) / len(train[1])
        losses.append(round(total, 4))
    adapter.eval()
    with torch.no_grad():
        logits = torch.cat([adapter.tuned((part,)) for part in test[0].split(50)])
    return {"test": float((logits.argmax(1) == test[1]).double().mean()), "losses": losses}


def main():
    """Runs what is not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    shared, path = parser.parse_args().shared, Path(__file__).parent / "results.jsonl"
    data = pixprompt.load_data(f"folder:{shared / 'data' / 'cifar10'}", seed=0)
    model = backbone(shared)
    whole = {"train": images_of(data.train, 800, 10), "test": images_of(data.test, TEST, 10)}
    first = make_sa2vp(model, data.classes, deep=True, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = {
            name: (torch.cat([first.frozen(pixprompt.to_images(part))[0] for part in np.split(canvases, 10)]), labels)
            for name, (canvases, labels) in whole.items()
        }
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in SEEDS:
        for rate in RATES:
            for start in STARTS:
                key = {"start": start, "lr": rate, "seed": seed}
                if any(key.items() <= row.items() for row in lines):
                    continue
                began = time.process_time()
                row = key | once(model, data.classes, tokens["train"], tokens["test"], start, rate, seed)
                with path.open("a") as file:
                    file.write(json.dumps(row | {"cpu_seconds": round(time.process_time() - began)}) + "\n")


if __name__ == "__main__":
    main()
