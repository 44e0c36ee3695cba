"""Label mappings of two ImageNet classifiers on CIFAR-10: first-K, random, frequency, iterative, Bayesian.

The best linear head without a prompt is in every row. The last rows have a lower learning rate than the default.

python experiments/mappings/run.py ../shared
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main, write_csv

MODELS = {
    "mobilenet_v2": {
        "model": "torchvision:mobilenet_v2/IMAGENET1K_V1",
        "weights": "{assets}/weights/mobilenet_v2.safetensors",
    },
    "resnet18": {"model": "resnet18", "weights": "{assets}/weights/resnet18.safetensors"},
}
COMMON = {"data": "csv:{scratch}/cifar10.csv", "epochs": 4}
OUTPUTS = ("first-k", "random", "frequency", "iterative", "blm+")


def prepare(assets: Path, scratch: Path) -> None:
    """800 images to learn from (a fifth of them for validation), 1,000 to test on."""
    write_csv(assets / "data" / "cifar10", scratch / "cifar10.csv", train=80, test=100)


if __name__ == "__main__":
    rows = [
        (f"{name}, {output}", {**model, **COMMON, "output": output})
        for output in OUTPUTS
        for name, model in MODELS.items()
    ]
    rows += [
        (f"{name}, frequency, lr 0.01", {**model, **COMMON, "output": "frequency", "lr": 0.01})
        for name, model in MODELS.items()
    ]
    main(Path(__file__).parent, rows, prepare)
