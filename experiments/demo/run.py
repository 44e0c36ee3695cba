"""The demo's ladder over three seeds, and that of `pixprompt train` without options, which shows images at 224 pixels.

python experiments/demo/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

DEMO = {"model": "efficientnet-lite0@128", "template": "padding", "size": 17, "epochs": 6}

if __name__ == "__main__":
    rows = [(f"seed {seed}", {**DEMO, "seed": seed}) for seed in range(3)]
    main(Path(__file__).parent, [*rows, *((f"224 pixels, seed {seed}", {"seed": seed}) for seed in range(3))])
