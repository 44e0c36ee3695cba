"""The demo's ladder over three seeds, with a prompt that a label mapping reads instead, and at 224 pixels.

python experiments/demo/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

SMALL = {"model": "efficientnet-lite0@128"}
MAPPED = {"output": "frequency"}
RUNS = {
    "": {**SMALL, "epochs": 3},
    "label mapping, ": {**SMALL, **MAPPED, "template": "padding", "size": 17, "epochs": 6},
    "label mapping, 224 pixels, ": MAPPED,
}

if __name__ == "__main__":
    main(
        Path(__file__).parent,
        [(f"{name}seed {seed}", {**run, "seed": seed}) for name, run in RUNS.items() for seed in range(3)],
    )
