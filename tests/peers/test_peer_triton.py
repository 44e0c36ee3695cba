"""NVIDIA's Triton: what it says, what it answers in every form, and how it fails."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixprompt.canvas.encoding import encode_jpeg
from pixprompt.cli import main
from pixprompt.core import AnswerKind, EndpointError
from pixprompt.remote import connect
from pixprompt.remote.messages import Outgoing
from pixprompt.remote.protocols.v2 import protocol as v2

from .asking import ask, describe, make_pixels, model, right, to_images
from .conftest import needs, write_repository
from .served.linear import LABELS, decode, score, shares
from .servers import Triton, triton

pytestmark = [pytest.mark.peers, pytest.mark.slow]

FORMS: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("linear", {"binary": False}),
    ("bytes", {}),
    ("bytes", {"binary": False}),
    ("files", {}),
]


def test_its_metadata_are_understood(triton_url: str, tmp_path: Path) -> None:
    remote = model(f"{triton_url}/linear", tmp_path)
    assert (remote.spec.image_size, remote.spec.num_outputs, remote.spec.answer) == ((32, 32), 8, AnswerKind.LOGITS)
    assert remote.max_batch == 8
    assert remote.protocol.binary  # type: ignore[attr-defined]
    assert not remote.protocol.sends_files
    assert model(f"{triton_url}/linear/versions/1", tmp_path).known
    assert model(f"{triton_url}/files", tmp_path, image_size=32).protocol.sends_files


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_every_form_brings_the_answers_of_the_model(
    name: str, options: dict[str, Any], triton_url: str, tmp_path: Path
) -> None:
    remote, pixels = model(f"{triton_url}/{name}", tmp_path, options, image_size=32), make_pixels(11)
    np.testing.assert_array_equal(ask(remote, pixels), right(pixels))
    np.testing.assert_array_equal(np.concatenate([ask(remote, one[None]) for one in pixels]), right(pixels))


def test_jpeg_files_bring_the_answers_about_what_was_compressed(triton_url: str, tmp_path: Path) -> None:
    remote, pixels = model(f"{triton_url}/files", tmp_path, image_size=32, encoding="jpeg"), make_pixels(3)
    expected = score(np.stack([decode(encode_jpeg(one)) for one in pixels]))
    np.testing.assert_array_equal(ask(remote, pixels), expected)
    assert (expected != right(pixels)).any()


def test_the_likeliest_classes_come_by_name(triton_url: str, tmp_path: Path) -> None:
    pixels = make_pixels(9)
    expected = shares(right(pixels))
    remote = model(f"{triton_url}/shares", tmp_path, {"classification": 3}, labels=list(LABELS))
    assert remote.spec.answer is AnswerKind.TOP_K
    answers = ask(remote, pixels)
    likeliest = np.sort(expected, axis=1)[:, -3:-2]
    likely = expected >= likeliest
    np.testing.assert_allclose(answers[:, :8], np.where(likely, expected, 0), rtol=0, atol=1e-6)
    assert (likely.sum(axis=1) == 3).all()  # or the check would see less than it says

    unnamed = model(f"{triton_url}/shares", tmp_path, {"classification": 8})
    ask(unnamed, pixels)
    assert set(unnamed.vocabulary) - {"(other)"} == set(LABELS)


@pytest.mark.parametrize("binary", [True, False])
def test_its_answers_come_compressed(binary: bool, triton_url: str, tmp_path: Path) -> None:
    remote, pixels = model(f"{triton_url}/linear", tmp_path, {"binary": binary}), make_pixels(8)
    incoming = remote.sender.send(remote.protocol.request([remote.picture(one) for one in pixels]), timeout=120)
    assert incoming.headers["content-encoding"] == "gzip"
    assert int(incoming.headers["content-length"]) != len(incoming.body)
    assert ("inference-header-content-length" in incoming.headers) == binary
    np.testing.assert_array_equal(remote.protocol.read(incoming, 8), right(pixels))


def test_a_failure_that_comes_twice_is_final_and_harms_no_other_request(triton_url: str, tmp_path: Path) -> None:
    small, good = make_pixels(2, side=16), make_pixels(2)
    remote = model(f"{triton_url}/files", tmp_path, image_size=16)
    with pytest.raises(EndpointError, match=r"same way each time. 2 requests .*HTTP 500.*got \(2, 3, 16, 16\)"):
        ask(remote, small)
    remote = model(f"{triton_url}/linear", tmp_path, image_size=16)
    with pytest.raises(EndpointError, match=r"refuses. 1 requests .*HTTP 400.*Expected \[-1,3,32,32\]"):
        ask(remote, small)
    broken = remote.protocol.request([remote.picture(good[0])])
    garbage = Outgoing(broken.url, b"{no", {"Content-Type": "application/json"})
    for _ in range(5):
        assert remote.sender.send(garbage, timeout=120).status in (400, 500)
        incoming = remote.sender.send(remote.protocol.request([remote.picture(one) for one in good]), timeout=120)
        np.testing.assert_array_equal(remote.protocol.read(incoming, 2), right(good))


@pytest.mark.parametrize(
    ("target", "words"), [("nothing", "has no model 'nothing'; it has: "), ("linear/versions/7", "linear/versions/7")]
)
def test_a_model_that_is_not_there_is_exit_code_4(
    target: str,
    words: str,
    triton_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = SimpleNamespace(sleep=lambda seconds: None)  # to Triton a model that is not there is one that is not ready
    monkeypatch.setattr(v2, "time", clock, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--model", f"{triton_url}/{target}", "--data", "digits", "--out", "run"]) == 4
    assert words in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_wrong_shape_is_exit_code_4(
    triton_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--endpoint", describe(tmp_path, image_size=16), "--budget", "60", "--size", "4"]
    assert main(["train", "--model", f"{triton_url}/linear", "--data", "digits", "--out", "run", *arguments]) == 4
    assert "Expected [-1,3,32,32], got [1,3,16,16]" in capsys.readouterr().err


def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    needs("triton")
    ready: list[float] = []

    def load(peer: Triton) -> None:
        peer.wait()
        time.sleep(0.5)  # it listens, and says 400 about the model
        ready.append(time.monotonic())
        peer.load("linear")

    repository = write_repository(tmp_path / "models")
    with triton(repository, tmp_path / "log.txt", load=(), wait=False) as peer:
        loading = threading.Thread(target=load, args=(peer,))
        loading.start()
        try:
            remote = connect(f"{peer.models}/linear")
            assert time.monotonic() > ready[0]
        finally:
            loading.join()
        pixels = make_pixels(2)
        np.testing.assert_array_equal(remote(to_images(pixels)).numpy(), right(pixels))
