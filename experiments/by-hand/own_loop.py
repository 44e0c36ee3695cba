"""A training loop of one's own: a pixel prompt on a frozen net, step by step.

python experiments/by-hand/own_loop.py [images]
"""

import sys

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import pixprompt
from pixprompt import outputs, templates

size = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
data = pixprompt.load_data("digits")
net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(392, 20))
model = pixprompt.as_model(net, image_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
canvas = pixprompt.Canvas.for_model(model.spec)
parts = (data.train.subset(range(size)), data.test.subset(range(min(size, len(data.test)))))
train, test = (pixprompt.CanvasDataset(part, canvas) for part in parts)

template = templates.make_template("padding", canvas_size=model.spec.image_size, size=6)
adapter = pixprompt.PixelPrompt(template, model, outputs.make_output("first-k", spec=model.spec, classes=data.classes))
optimizer = torch.optim.Adam(adapter.parameters(), lr=0.05)
for epoch in range(3):
    for images, labels in DataLoader(train, batch_size=50):
        loss = cross_entropy(adapter(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        adapter.constrain()  # back to what a PNG can hold
    accuracy = pixprompt.evaluate(adapter, test.canvases.pixels[:], test.canvases.labels)
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}, test accuracy {accuracy:.3f}")
print(adapter.to_prompt())
