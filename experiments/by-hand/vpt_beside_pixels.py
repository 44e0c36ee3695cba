"""VPT beside a pixel prompt: two adapters of one frozen ViT, fitted and scored alike, saved and read back.

python experiments/by-hand/vpt_beside_pixels.py ADAPTER.safetensors [images]
"""

import sys

import timm
import torch

import pixprompt
from pixprompt import adapters, outputs, templates

path, size = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
with torch.random.fork_rng():
    torch.manual_seed(0)  # the net's random weights; pixprompt draws from generators of its own
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=3, num_heads=3, num_classes=10
    )
data = pixprompt.load_data("digits")
vpt = adapters.make_vpt(net, data.classes, tokens=5)
model = vpt.model
canvas = pixprompt.Canvas.for_model(model.spec)
parts = (data.train, data.val, data.test)
train, val, test = (pixprompt.CanvasDataset(part.subset(range(len(part))[:size]), canvas) for part in parts)
template = templates.make_template("padding", canvas_size=model.spec.image_size, size=4)
pixels = pixprompt.PixelPrompt(template, model, outputs.make_output("first-k", spec=model.spec, classes=data.classes))
for name, adapter, lr in (("vpt-deep", vpt, 0.01), ("pixel", pixels, 0.05)):
    fit_result = pixprompt.fit(adapter, train, val, epochs=3, lr=lr)
    accuracy = pixprompt.evaluate(adapter, test.canvases.pixels[:], test.canvases.labels)
    count = sum(value.numel() for value in adapter.parameters())
    print(f"{name}: {count} numbers, best epoch {fit_result.best.epoch}, test accuracy {accuracy:.3f}")
vpt.save(path)
again = pixprompt.load_adapter(path, net)
print("read back:", pixprompt.evaluate(again, test.canvases.pixels[:], test.canvases.labels))
