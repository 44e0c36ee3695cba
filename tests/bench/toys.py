"""A small benchmark of the toy task: one model, one data set, two methods that share a run, sizes and seeds."""

from __future__ import annotations

from pathlib import Path

from ..cli.toy import Toy

_FILE = """
title = "A toy <table>"
source = "nowhere"
baseline = "plain"
seeds = {seeds}
axis = "size"
draw = "lines"
[settings]
model = "{model}"
data = "{data}"
epochs = 1
batch-size = 8
warmup = 2
precision = "fp32"
device = "cpu"
[data]
toy = {{}}
[methods]
plain = {{ score = "no_prompt" }}
prompt = {{}}
gain = {{ minus = ["prompt", "plain"] }}
[vary]
2 = {{ size = 2 }}
4 = {{ size = 4 }}
[[published]]
source = "a page"
certainty = "remembered"
columns = ["plain", "prompt"]
[published.rows]
2 = [10.0, 90.0]
[miniature]
seeds = [0]
[miniature.settings]
epochs = 0
"""


def write_benchmark(toy: Toy, *, seeds: tuple[int, ...] = (0,), model: str = "net") -> Path:
    """Writes it beside the toy task."""
    path = toy.folder / "toys.toml"
    path.write_text(_FILE.format(model=toy.model(model), data=toy.data, seeds=list(seeds)))
    return path
