"""The demo's ladder over three seeds: `pixprompt train` with its defaults; and the hardest seed for twice as long.

python experiments/demo/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

if __name__ == "__main__":
    rows = [(f"seed {seed}", {"seed": seed}) for seed in range(3)]
    main(Path(__file__).parent, [*rows, ("seed 2, 12 epochs", {"seed": 2, "epochs": 12})])
