"""Which recipe is the default: settings of the prompt on the embedded default, one changed at a time.

The choice is made by validation accuracy.

python experiments/recipe/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

BASE = {"model": "efficientnet-lite0", "data": "digits", "epochs": 6, "output": "frequency", "lr": 0.05}
CHANGES = {
    "add, resize, frequency, lr 0.05": {},
    "over": {"blend": "over"},
    "iterative": {"output": "iterative"},
    "over, shrink": {"blend": "over", "fit": "shrink"},
    "lr 0.1": {"lr": 0.1},
    "blm+": {"output": "blm+"},
    "no centre crop": {"crop": 1.0},
    "shrink": {"fit": "shrink"},
    "linear": {"output": "linear"},
}

if __name__ == "__main__":
    main(Path(__file__).parent, [(name, {**BASE, **change}) for name, change in CHANGES.items()])
