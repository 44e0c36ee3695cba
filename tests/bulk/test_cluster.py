"""`--ray` of `apply`, `predict` and `diagnose`: a cluster on this machine with two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixprompt.cli import main
from pixprompt.core import ConfigError, ModelSpec
from pixprompt.engine.saved.predict import predict_on_cluster
from pixprompt.files import read_json
from pixprompt.outputs import make_output

from ..cli.toy import write_pictures, write_toy
from ..images import files, make_prompt, write_broken, write_readable

ROOT = Path(__file__).parents[2]
# Its workers are polite to other programs, and would starve on a machine with work to do; it counts no users here.
RAY = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
PROGRAM = """
import json, sys
from pixprompt.bulk.cluster import connect
from pixprompt.cli import main
if __name__ == "__main__":
    connect("local", 2)
    print(json.dumps([main([*command, "--ray", "local"]) for command in json.loads(sys.argv[1])]))
"""


def on_cluster(commands: list[list[str]], folder: Path) -> list[int]:
    """Exit codes of commands on one cluster."""
    environment = {**os.environ, **RAY, "PYTHONPATH": f"{ROOT}:{folder}", "PIXPROMPT_CACHE": str(folder / "cache")}
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    process = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=500)
    assert process.returncode == 0, process.stderr[-3000:]
    codes: list[int] = json.loads(process.stdout.splitlines()[-1])
    return codes


def without_seconds(diagnosis: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in diagnosis.items() if name not in ("seconds", "peak_memory_mb")}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'pixprompt[ray]'")
def test_a_cluster_gives_what_this_machine_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    output = make_output("first-k", classes=("one", "two", "three"), spec=ModelSpec("toy", (16, 16), 6))
    replace(make_prompt((16, 16), padding=2), output=output.to_json()).save("p.png")
    write_pictures(Path("in/many"), 70, seed=5)
    write_readable(Path("in"))
    write_broken(Path("in/broken"))
    Path("in/no utf-8 \udcff.bmp").write_bytes(Path("in/plain.bmp").read_bytes())

    def commands(out: str) -> list[list[str]]:
        model = ["--model", toy.model()]
        numbers = ["--inception", "none", "--lpips", "none", "--clip", toy.model(), "--reference", "in/many"]
        return [
            ["apply", "p.png", "in", "--out", f"{out}/images"],
            ["predict", "p.png", "in", f"file://{tmp_path}/in/many", *model, "--out", f"{out}/lines", "--resume"],
            ["diagnose", "--data", toy.data, *numbers, "--out", f"{out}/diagnosis.json"],
        ]

    for out in ("here", "there"):
        Path(out).mkdir()
        names = [f"in/{name}" for name in ("animated.gif", "bilevel.png")]
        Path(out, "lines").write_text("".join(json.dumps({"path": name}) + "\n" for name in names))
    codes = [main(command) for command in commands("here")]
    assert codes == on_cluster(commands("there"), tmp_path) == [1, 1, 0]
    assert files(Path("here")) == files(Path("there"))
    lines = [json.loads(line) for line in Path("here/lines").read_text("utf-8").splitlines()]
    assert (len(lines), sum("label" in line for line in lines)) == (91 + 70, 87 + 70 - len(names))
    for name in files(Path("here")):
        if name != "diagnosis.json":
            assert Path("there", name).read_bytes() == Path("here", name).read_bytes(), name
    here, there = (without_seconds(read_json(Path(out, "diagnosis.json"))) for out in ("here", "there"))
    assert here == there


def test_a_model_behind_a_url_is_asked_from_one_process(tmp_path: Path) -> None:
    deployed: Any = SimpleNamespace(model=SimpleNamespace(model="behind a URL"))
    with pytest.raises(ConfigError, match="owns the ledger and the budget; leave out --ray"):
        predict_on_cluster("local", lambda: deployed, deployed, [str(tmp_path)])


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_option_says_what_installs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_prompt().save(tmp_path / "p.png")
    write_readable(tmp_path / "in")
    arguments = ["apply", str(tmp_path / "p.png"), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--ray", "local"]) == 2
    assert "pip install 'pixprompt[ray]'" in capsys.readouterr().err
