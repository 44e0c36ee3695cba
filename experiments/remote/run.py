"""Prompts learned through Triton: the real MobileNetV2 behind it, CIFAR-10, 2,000 queries each.

With the default settings, whose 2,000 queries all go to a linear head on the answers; twice with fewer labelled images
for the output transform, so that the rest is spent on the search for a prompt; and with a prompt that is first learned
on a local ResNet-18; and as a committee of two views. Each run then labels the cats of the test images, which its
ledger says, too.

Triton takes PNG files and answers with 1,000 logits. Before:

.ci/peers && .peers/triton/bin/pip install onnxruntime==1.31.1
python experiments/remote/export.py ../shared mobilenet_v2.onnx
python experiments/remote/run.py ../shared mobilenet_v2.onnx
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "peers"))
from servers import triton, write_triton_model
from sweep import machine

HERE = Path(__file__).parent
BUDGET = 2000
RUNS: dict[str, tuple[str, ...]] = {
    "default": (),
    "committee": ("--views", "2"),
    "head": ("--head-images", "300"),
    "mapping": ("--head-images", "300", "--output", "frequency"),
    "surrogate": (
        *("--surrogate", "torchvision:resnet18", "--surrogate-weights", "{assets}/weights/resnet18.safetensors"),
        *("--shots", "60", "--epochs", "3", "--head-images", "300", "--views", "none"),
    ),
}


def output_of(*arguments: str) -> str:
    """Returns what a command prints."""
    command = [sys.executable, "-m", "pixprompt", *arguments]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=one_thread, check=False)
    if process.returncode:
        raise SystemExit(process.returncode)
    return process.stdout


def learn(name: str, url: str, assets: Path, scratch: Path) -> None:
    """Trains, and keeps the result and the ledger's table in a folder of that name."""
    endpoint, run, path = scratch / "endpoint.json", scratch / name, HERE / name
    endpoint.write_text(json.dumps({"image_size": 224}))
    arguments = [
        "train",
        "--model",
        url,
        "--endpoint",
        str(endpoint),
        "--data",
        f"folder:{assets / 'data' / 'cifar10'}",
    ]
    arguments += ["--budget", str(BUDGET), "--device", "cpu", "--out", str(run)]
    arguments += [word.replace("{assets}", str(assets)) for word in RUNS[name]]
    planned = json.loads(output_of(*arguments, "--dry-run", "--json"))
    table = output_of(*arguments)
    lines = output_of("predict", str(run), str(assets / "data" / "cifar10" / "test" / "cat")).splitlines()
    cats = sum(json.loads(each)["label"] == "cat" for each in lines)
    places = {str(scratch): "{scratch}", str(assets): "{assets}", url: "http://triton/v2/models/mobilenet_v2"}

    def keep(file: str, text: str) -> None:
        for place, short in places.items():
            text = text.replace(place, short)
        (path / file).write_text(text)

    path.mkdir(exist_ok=True)
    result = json.loads((run / "result.json").read_text())
    line = {"settings": RUNS[name], "plan": planned, "machine": machine(), "result": result, "cats": [cats, len(lines)]}
    keep("result.json", json.dumps(line, indent=1) + "\n")
    keep("ledger.json", output_of("ledger", str(run), "--json"))
    keep("ledger.txt", output_of("ledger", str(run)))
    keep("ladder.txt", table)
    tests = {rung: score and score["test"] for rung, score in result["accuracy"].items()}
    print(json.dumps({"name": name, "test": tests, "queries": result["queries"], "seconds": result["seconds"]}))


def main() -> None:
    """Starts Triton and learns, run after run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("assets", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--only", choices=RUNS, nargs="*", default=list(RUNS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = {"model.py": HERE / "served" / "model.py", "model.onnx": options.onnx}
        write_triton_model(scratch / "models", "mobilenet_v2", files, datatype="STRING", dims=(1,), num_outputs=1000)
        with triton(scratch / "models", scratch / "log.txt", load=("mobilenet_v2",)) as peer:
            for name in options.only:
                learn(name, f"{peer.models}/mobilenet_v2", options.assets.resolve(), scratch)


if __name__ == "__main__":
    main()
