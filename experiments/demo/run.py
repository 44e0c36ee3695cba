"""The demo's ladder over three seeds: `pixprompt train` with its defaults.

python experiments/demo/run.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import main

if __name__ == "__main__":
    main(Path(__file__).parent, [(f"seed {seed}", {"seed": seed}) for seed in range(3)])
