"""A template of one's own, learned with `fit`: python experiments/by-hand/own_template.py PROMPT.png [images]"""

import sys

import torch

import pixprompt
from pixprompt import outputs, templates


class Cross:
    """A row and a column of pixels through the middle, `width` wide."""

    frame = 0

    def __init__(self, size, width):
        self.size, self.params = size, {"size": width}
        mask, middle = torch.zeros(size, dtype=torch.bool), slice((size[0] - width) // 2, (size[0] + width) // 2)
        mask[middle] = mask[:, middle] = True
        self.places, self.num_pixels = mask.flatten().nonzero().flatten(), int(mask.sum())

    def pixels(self, generator):
        """Returns flat positions on the canvas."""
        return self.places


path, size = sys.argv[1], int((*sys.argv, 200)[2])
data = pixprompt.load_data("digits")
net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(192, 10))
model = pixprompt.as_model(net, image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
canvas = pixprompt.Canvas.for_model(model.spec)
train, val = (pixprompt.CanvasDataset(part.subset(range(len(part))[:size]), canvas) for part in (data.train, data.val))
cross = templates.PixelTemplate("cross", Cross((32, 32), 8), templates.Add())
adapter = pixprompt.PixelPrompt(cross, model, outputs.make_output("first-k", spec=model.spec, classes=data.classes))
print(pixprompt.fit(adapter, train, val, epochs=3, optimizer="adam", lr=0.05).best.scores)
adapter.to_prompt(canvas, seed=0).save(path)
print(pixprompt.load(path))
