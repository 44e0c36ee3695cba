"""Which recipe is the default: settings of the prompt on the embedded default, one changed at a time.

A short form of the demo: 60 images of each digit, four epochs. The choice is made by validation accuracy.

    python experiments/recipe/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

BASE = {
    "model": "efficientnet-lite0",
    "data": "digits",
    "shots": 60,
    "epochs": 4,
    "blend": "add",
    "fit": "resize",
    "output": "frequency",
    "lr": 0.05,
}
CHANGES = {
    "add, resize, frequency, lr 0.05": {},
    "over": {"blend": "over"},
    "over, shrink": {"blend": "over", "fit": "shrink"},
    "shrink": {"fit": "shrink"},
    "iterative": {"output": "iterative"},
    "blm+": {"output": "blm+"},
    "lr 0.1": {"lr": 0.1},
    "lr 0.02": {"lr": 0.02},
    "no centre crop": {"crop": 1.0},
}

if __name__ == "__main__":
    main(Path(__file__).parent, [(name, {**BASE, **change}) for name, change in CHANGES.items()])
