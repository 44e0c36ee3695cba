"""All five methods of `pixprompt segment` on generated shapes, with the ViT-Ti/16 of the assets.

python experiments/segmentation/run.py ../shared
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import shapes

from pixprompt.segmentation import METHODS, SegmentConfig, train

SEEDS = 3
COMMON: dict[str, Any] = {
    "model": "vit-tiny",
    "epochs": 12,
    "batch_size": 8,
    "channels": 64,
    "lr": 0.02,
    "multi_scale": True,
}


def main(assets: Path, here: Path) -> None:
    """Runs what is not yet in results.jsonl, then writes the table."""
    path = here / "results.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished_runs = {(line["method"], line["seed"]) for line in lines}
    weights = str(assets / "weights" / "vit_tiny_patch16_224.safetensors")
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "shapes"
        shapes.write(data, train=100, test=40)
        for seed in range(SEEDS):
            for method in METHODS:
                if (method, seed) in finished_runs:
                    continue
                config = SegmentConfig(
                    data=f"ade20k:{data}", weights=weights, method=method, seed=seed, val_images=20, **COMMON
                )
                result = train(config, out=Path(scratch) / f"{method}-{seed}")
                fields = ("method", "seed", "parameters", "best", "test", "counts", "seconds")
                lines.append({name: result[name] for name in fields})
                path.write_text("".join(json.dumps(line) + "\n" for line in lines))
                print(method, seed, round(result["test"]["single_scale"]["miou"], 3), flush=True)
    (here / "table.md").write_text(table(lines))


def table(lines: list[dict[str, Any]]) -> str:
    """Returns a row per method: mean and deviation over the seeds."""
    rows = [
        "| method | mIoU, one scale | mIoU, several | inside | of the backbone | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        runs = [line for line in lines if line["method"] == method]
        if runs:
            scores = [spread([run["test"][name]["miou"] for run in runs]) for name in ("single_scale", "multi_scale")]
            counts = runs[0]["parameters"]
            seconds = statistics.mean(run["seconds"] for run in runs)
            share = 100 * counts["inner"] / counts["backbone"]
            rows.append(f"| {method} | {scores[0]} | {scores[1]} | {counts['inner']} | {share:.2f}% | {seconds:.0f} |")
    return "\n".join(rows) + f"\n\nThe head has {lines[0]['parameters']['head']} numbers in every row.\n"


def spread(values: list[float]) -> str:
    """Returns mean and deviation in percent."""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
