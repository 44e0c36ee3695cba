"""`pixprompt serve`: the command as a process, and what it refuses before it listens."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
import pytest
import torch

from pixprompt.cli.serving.serve import serve
from pixprompt.core import ConfigError
from pixprompt.models import load_model

from .toy import Toy, start

SIZE = 16


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and the line that it prints as soon as it answers."""
    process = start(["serve", *options, "--port", "0"], folder)
    with process:
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line, process.communicate()[1]
            yield process, line
        finally:
            process.kill()


def ask(url: str, pixels: np.ndarray) -> np.ndarray:
    parts = urlsplit(url)
    entry = {"name": "images", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    with closing(HTTPConnection(str(parts.hostname), parts.port or 0, timeout=300)) as connection:
        connection.request(
            "POST", f"{parts.path}/infer", json.dumps({"inputs": [entry]}), {"Content-Type": "application/json"}
        )
        (output,) = json.loads(connection.getresponse().read())["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def call(*options: str) -> None:
    serve.main(["--model", *options], standalone_mode=False)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "last"), [(signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "\ninterrupted\n")])
def test_the_command_answers_as_the_model_does_until_it_is_told_to_end(
    toy: Toy, number: signal.Signals, code: int, last: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    logits = load_model(toy.model())(images).detach().numpy()
    as_json = number == signal.SIGTERM
    options = ["--json"] if as_json else ["--name", "toy", "--answer", "probabilities", "--delay-ms", "1"]
    with served(toy.folder, "--model", toy.model(), "--device", "cpu", *options) as (process, line):
        if as_json:
            says: dict[str, Any] = json.loads(line)
            assert (says["model"], says["image_size"], says["num_outputs"]) == (toy.model(), [SIZE, SIZE], 6)
            assert (says["answer"], says["host"]) == ("logits", "127.0.0.1")
            np.testing.assert_allclose(ask(says["url"], pixels), logits, atol=1e-5)
            assert urlsplit(says["url"]).port == says["port"] > 0
        else:
            assert line.startswith("serving toy at http://127.0.0.1:")
            powers = np.exp(logits)
            np.testing.assert_allclose(ask(line.split()[-1], pixels), powers / powers.sum(1, keepdims=True), atol=1e-5)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (code, "", last)


def test_a_port_in_use_is_said(toy: Toy) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}"):
            call(toy.model(), "--port", port)


def test_listening_beyond_this_machine_is_warned_of(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as other:  # in use, so that the command ends by itself
        port = str(other.getsockname()[1])
        for host, warned in (("0.0.0.0", True), ("127.0.0.1", False)):
            with pytest.raises(ConfigError, match="cannot listen"):
                call(toy.model(), "--port", port, "--host", host)
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err.startswith(f"warning: listening on {host}") == warned


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--port", "65536"], click.BadParameter, "65536"),
        (["--max-request-mb", "0"], click.BadParameter, "x>=1"),
        (["--answer", "labels"], click.BadParameter, "probabilities"),
        (["--name", "a/b"], ConfigError, "letters, digits"),
        (["--max-cost", "1", "--price-per-1000", "-1"], ConfigError, "a price per 1000 queries must be at least 0"),
        (["--device", "abacus"], ConfigError, "--device cpu or auto"),
        (["--host", "no such host", "--port", "0"], ConfigError, "cannot listen on no such host"),
    ],
)
def test_wrong_usage_is_found_before_anything_listens(
    toy: Toy, options: list[str], error: type[Exception], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error, match=words):
        call(toy.model(), *options)
    assert capsys.readouterr().out == ""
