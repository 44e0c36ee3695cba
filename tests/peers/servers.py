"""Starting and stopping the peers: real servers in environments of their own, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("PIXPROMPT_PEERS", ROOT / ".peers"))
SERVED = Path(__file__).parent / "served"
_OF_CI = ("triton", "mlserver")
_SHARED = "pixprompt_peer_"
_LONGEST_START = 90.0
_LONGEST_END = 15.0


def missing(name: str) -> str | None:
    """Says why a peer cannot be started; None where it can."""
    if (PEERS / name / "made-from.txt").is_file():
        return None
    recipe = ".ci/peers makes it" if name in _OF_CI else f"made as in .ci/peers, from tests/peers/{name}.txt"
    return f"no {name} at {PEERS}; {recipe}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_triton_model(
    repository: Path,
    name: str,
    files: Mapping[str, Path],
    *,
    datatype: str = "FP32",
    dims: Sequence[int] = (3, 32, 32),
    labels: Sequence[str] = (),
    num_outputs: int = 0,
    max_batch: int = 8,
) -> None:
    """Writes a model of the Python backend into a repository; `files` go beside its model.py."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    for target, source in files.items():
        shutil.copy(source, folder / target)
    count, label_file = num_outputs or len(labels), ""
    if labels:
        (folder.parent / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        label_file = ' label_filename: "labels.txt"'
    (folder.parent / "config.pbtxt").write_text(
        f'name: "{name}"\nbackend: "python"\nmax_batch_size: {max_batch}\n'
        f'input [{{ name: "images" data_type: TYPE_{datatype} dims: {list(dims)} }}]\n'
        f'output [{{ name: "scores" data_type: TYPE_FP32 dims: [{count}]{label_file} }}]\n'
        "instance_group [{ kind: KIND_CPU count: 1 }]\n"
    )


@dataclass(frozen=True)
class Triton:
    """A running Triton."""

    process: subprocess.Popen[bytes]
    server: str
    log: Path

    @property
    def models(self) -> str:
        """Where its models are."""
        return f"{self.server}/models"

    def wait(self) -> None:
        """Waits until it answers."""
        _wait(self.process, f"{self.server}/health/ready", self.log)

    def load(self, name: str) -> None:
        """Has it load another model of its repository, and waits for that."""
        request = urllib.request.Request(f"{self.server}/repository/models/{name}/load", method="POST")
        with urllib.request.urlopen(request, timeout=_LONGEST_START):
            pass

    def kill(self) -> None:
        """Ends it at once, and what it started."""
        _kill(self.process.pid)
        self.process.wait()


@contextmanager
def triton(
    repository: Path, log: Path, *, load: Sequence[str], port: int | None = None, wait: bool = True
) -> Iterator[Triton]:
    """Runs the Triton binary of nvidia-pytriton; other models of the repository can be loaded later.

    Its program that runs models finds packages as `python3` on the PATH would, and looks at no PYTHONPATH.
    """
    place, port = (PEERS / "triton").resolve(), port or free_port()
    (packages,) = place.glob("lib/python3.*/site-packages")
    server = packages / "pytriton" / "tritonserver"
    backends = _backends(log.parent, server, packages.parent.name.removeprefix("python"))
    environment = {
        **_plain_environment(),
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{packages / 'nvidia_pytriton.libs'}:{_library_folder(place)}",
    }
    command = [
        str(server / "bin" / "tritonserver"),
        *(f"--model-repository={repository}", f"--backend-directory={backends}"),
        *("--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false"),
        *("--exit-timeout-secs=2", "--model-control-mode=explicit"),
        f"--backend-config=python,shm-region-prefix-name={_SHARED}{port}_",
        *(f"--load-model={name}" for name in load),
    ]
    try:
        with running(command, environment, log.parent, log) as process:
            peer = Triton(process, f"http://127.0.0.1:{port}/v2", log)
            if wait:
                peer.wait()
            yield peer
    finally:
        for left in Path("/dev/shm").glob(f"{_SHARED}{port}_*"):  # what a Triton that was killed leaves
            left.unlink()


@contextmanager
def mlserver(folder: Path, log: Path, models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Runs MLServer with models of mlserver_model.py, given by their inputs."""
    port = free_port()
    output = {"name": "scores", "datatype": "FP32", "shape": [-1, 8]}
    for name, model in models.items():
        (folder / name).mkdir()
        settings = {"name": name, "implementation": "mlserver_model.Linear", "inputs": [model], "outputs": [output]}
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_endpoint": None, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports}))
    environment = {**_plain_environment(), "PYTHONPATH": str(SERVED), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(PEERS / "mlserver" / "bin" / "mlserver"), "start", str(folder)]
    with running(command, environment, folder, log) as process:
        _wait(process, f"http://127.0.0.1:{port}/v2/health/ready", log)
        for name in models:
            _wait(process, f"http://127.0.0.1:{port}/v2/models/{name}/ready", log)
        yield f"http://127.0.0.1:{port}/v2/models"


@contextmanager
def transformers(folder: Path, log: Path) -> Iterator[str]:
    """Runs `transformers serve` with the model of tiny_llava.py, named "tiny"; torch is that of the tests."""
    port, python = free_port(), str(PEERS / "transformers" / "bin" / "python")
    environment = {**_plain_environment(), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
    packages = str(Path(torch.__file__).parents[1])
    program = "import runpy, sys; sys.path.append({!r}); sys.argv = {!r}; {}"

    def command(run: str, *arguments: str) -> list[str]:
        return [python, "-c", program.format(packages, ["", *arguments], run)]

    write = command(f"runpy.run_path({str(SERVED / 'tiny_llava.py')!r}, run_name='__main__')", str(folder / "tiny"))
    subprocess.run(write, env=environment, cwd=folder, check=True, timeout=_LONGEST_START)
    options = ("--device", "cpu", "--host", "127.0.0.1", "--port", str(port))
    serve = command("runpy.run_module('transformers.cli.transformers', run_name='__main__')", "serve", "tiny", *options)
    with running(serve, environment, folder, log) as process:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"


def group_is_gone(group: int) -> bool:
    """Whether no process of a group is left, but for those that are dead and were not fetched."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, owner = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(owner) == group and state not in "ZX":
            return False
    return True


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program as the head of a process group, and leaves no process of that group behind."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LONGEST_END)
        _kill(process.pid)
        process.wait()


def _kill(group: int) -> None:
    end = time.monotonic() + _LONGEST_END
    while not group_is_gone(group) and time.monotonic() < end:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _LONGEST_START
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    log_tail = log.read_text("utf-8", "replace")[-3000:]
    raise RuntimeError(f"{process.args!r} is not ready (exit code {process.poll()}):\n{log_tail}")


def _plain_environment() -> dict[str, str]:
    """The environment without what makes a Python look at other packages, or a client at a proxy."""
    results = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {name: value for name, value in results.items() if not name.lower().endswith("_proxy")} | {
        "OMP_NUM_THREADS": "1"
    }


def _library_folder(place: Path) -> str:
    code = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    return subprocess.run(
        [place / "bin/python3", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def _backends(folder: Path, server: Path, version: str) -> Path:
    """Puts the Python backend together: the wheel holds its program once per version of Python."""
    target = folder / "backends" / "python"
    if not target.exists():
        shutil.copytree(server / "backends" / "python", target, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", target)
    return target.parent
