"""Label mappings of ResNet-18 without a prompt: one source for each class, several, all of them, or weights learned.

    python experiments/methods/mappings.py ../shared [FOLDER]

Answers to 640 to 800 labelled and 300 to 600 test images of three data sets are asked for once (and kept in FOLDER);
each mapping is fitted on 5, 20 or 60 of them a class, three draws of each. Writes `mappings.jsonl`, prints the means.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from pixprompt import Canvas, load_data, load_model, to_images
from pixprompt.data import make_canvases
from pixprompt.outputs import make_output
from pixprompt.study import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from sweep import write_csv

HERE = Path(__file__).parent
OUTPUTS = {
    "frequency": {},
    "frequency, 3 sources": {"sources": 3},
    "frequency, 5 sources": {"sources": 5},
    "blm": {},
    "blm+, 1 source": {"top": 1},
    "blm+, 10 sources": {"top": 10},
    "blm+, 15% of all": {"top": 150},
    "blm+, all": {"top": 1000},
    "blm+, chosen": {},
    "weighted, 5 sources": {"sources": 5},
    "weighted": {},
    "lda": {},
    "linear": {},
}


def answers(assets: Path, folder: Path, data: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Returns outputs and labels of both splits, from the folder where they are there."""
    path = folder / f"resnet18-{data}.pt"
    if path.exists():
        return torch.load(path)
    if data != "digits":
        write_csv(assets / "data" / data, folder / f"{data}.csv", train=80, test=60)
    model = load_model("resnet18", weights=assets / "weights/resnet18.safetensors")
    images = load_data("digits" if data == "digits" else f"csv:{folder}/{data}.csv")
    results = {}
    for split, most in (("train", 800), ("test", 600)):
        canvases = make_canvases(getattr(images, split), Canvas.for_model(model.spec))
        order = torch.randperm(len(canvases.labels), generator=torch.Generator().manual_seed(0))[:most].sort().values
        with torch.inference_mode():
            rows = [model(to_images(canvases.pixels[part.numpy()], "cpu")) for part in order.split(32)]
        results[split] = (torch.cat(rows), torch.from_numpy(canvases.labels[order.numpy()]))
    torch.save(results, path)
    return results


def main(assets: Path, folder: Path) -> None:
    """Fits every mapping and prints the means over the draws."""
    model = load_model("resnet18", weights=assets / "weights/resnet18.safetensors")
    lines = []
    for data in ("cifar10", "digits", "flowers5"):
        splits = answers(assets, folder, data)
        (outputs, labels), (splits_in_use, right) = splits["train"], splits["test"]
        for count in (5, 20, 60):
            for seed in range(3):
                generator = torch.Generator().manual_seed(seed)
                classes = [(labels == k).nonzero().flatten() for k in range(int(labels.max()) + 1)]
                chosen = torch.cat([own[torch.randperm(len(own), generator=generator)[:count]] for own in classes])
                line = {"data": data, "per_class": count, "seed": seed, "images": len(right), "test": {}}
                for name, constants in OUTPUTS.items():
                    kind, names = name.split(",")[0], [str(k) for k in range(len(classes))]
                    fresh = make_output(kind, classes=names, spec=model.spec, **constants)
                    fitted = fresh.refit(outputs[chosen], labels[chosen])
                    line["test"][name] = round(float((fitted(splits_in_use).argmax(1) == right).double().mean()), 4)
                    if name == "blm+, chosen":
                        line["chosen"] = fitted.to_json()["chosen"]
                lines.append({**line, "machine": machine()})
    (HERE / "mappings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(table(lines))


def table(lines: list[dict]) -> str:
    """Returns the means over the draws, a row per mapping, a column per data set and number of answers."""
    columns = list(dict.fromkeys((line["data"], line["per_class"]) for line in lines))
    rows = ["| mapping | " + " | ".join(f"{data}, {count}" for data, count in columns) + " |"]
    rows.append("|---" * (len(columns) + 1) + "|")
    for name in OUTPUTS:
        means = [
            np.mean([line["test"][name] for line in lines if (line["data"], line["per_class"]) == column])
            for column in columns
        ]
        rows.append(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        assets = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared").resolve()
        main(assets, Path(sys.argv[2] if len(sys.argv) > 2 else scratch))
