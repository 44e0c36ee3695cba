"""A paid model: a Python callable that answers for money, adapted within a budget of queries.

python experiments/by-hand/paid_model.py FOLDER [budget]
"""

import sys
from pathlib import Path

import numpy as np

import pixprompt

data = pixprompt.load_data("digits")
images = np.stack([np.asarray(data.train.open(index).resize((8, 8)))[..., 0] for index in range(300)])
prototypes = np.stack([images[data.train.labels[:300] == label].mean(0) for label in range(10)])


def paid(image):
    """Answers one image of 32x32 pixels with ten scores; its makers charge for every call."""
    small = np.asarray(image, dtype=np.float32).mean(2).reshape(8, 4, 8, 4).mean((1, 3))
    distances = ((small - prototypes) ** 2).mean((1, 2)) / 2000
    scores = np.exp(-distances)
    return [float(score) for score in np.roll(scores / scores.sum(), 3)]  # its classes are in another order


folder, budget = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1500
model = pixprompt.as_model(paid, image_size=32, takes="image")
config = pixprompt.TrainConfig().with_values(size=4, budget=budget, price_per_1000=1.5)
result = pixprompt.train(config, out=folder, model=model, data=data)
for rung, score in result.accuracy.items():
    if score is not None:
        print(f"{rung}: {score.test} on test, output {score.output}")
print(f"{result.queries['images']} queries, {result.queries['cost']} paid; ledger of {model.spec.name} in {folder}")
