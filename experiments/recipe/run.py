"""Which recipe is the default: settings of the prompt on the embedded default, one changed at a time.

python experiments/recipe/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

BASE = {"model": "efficientnet-lite0", "data": "digits", "epochs": 6, "output": "frequency", "lr": 0.05}
CHANGES = {
    "base: add, resize, frequency, lr 0.05": {},
    "no centre crop": {"crop": 1.0},
    "lr 0.1": {"lr": 0.1},
    "batch 16": {"batch_size": 16},
    "iterative": {"output": "iterative"},
    "blm+": {"output": "blm+"},
    "linear": {"output": "linear"},
    "over": {"blend": "over"},
    "over, shrink": {"blend": "over", "fit": "shrink"},
    "shrink": {"fit": "shrink"},
    "sgd, lr 10": {"optimizer": "sgd", "lr": 10.0},
    "fp32": {"precision": "fp32"},
}

if __name__ == "__main__":
    main(Path(__file__).parent, [(name, {**BASE, **change}) for name, change in CHANGES.items()])
