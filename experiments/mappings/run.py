"""Label mappings of two ImageNet classifiers on CIFAR-10: first-K, random, frequency, iterative, Bayesian, linear.

python experiments/mappings/run.py ../shared
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

MODELS = {
    "mobilenet_v2": {
        "model": "torchvision:mobilenet_v2/IMAGENET1K_V1",
        "weights": "{assets}/weights/mobilenet_v2.safetensors",
    },
    "resnet18": {"model": "resnet18", "weights": "{assets}/weights/resnet18.safetensors"},
}
COMMON = {"data": "folder:{assets}/data/cifar10", "shots": 80, "epochs": 5}
OUTPUTS = ("first-k", "random", "frequency", "iterative", "blm", "blm+", "linear")

if __name__ == "__main__":
    main(
        Path(__file__).parent,
        [
            (f"{name}, {output}", {**model, **COMMON, "output": output})
            for output in OUTPUTS
            for name, model in MODELS.items()
        ],
    )
