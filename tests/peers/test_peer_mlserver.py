"""MLServer: another reading of the protocol, without its extensions, and with failures of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixprompt.cli import main
from pixprompt.core import AnswerKind, ConfigError, EndpointError

from .asking import ask, describe, make_pixels, model, right

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def test_its_metadata_are_understood(mlserver_url: str, tmp_path: Path) -> None:
    remote = model(f"{mlserver_url}/linear", tmp_path)
    assert (remote.spec.image_size, remote.spec.num_outputs, remote.spec.answer) == ((32, 32), 8, AnswerKind.LOGITS)
    assert not remote.protocol.binary  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="does not list the binary extension"):
        model(f"{mlserver_url}/files", tmp_path)


@pytest.mark.parametrize(
    ("name", "options"), [("linear", {}), ("files", {"bytes": "base64"}), ("linear", {"classification": 3})]
)
def test_every_form_brings_the_answers_of_the_model(
    name: str, options: dict[str, Any], mlserver_url: str, tmp_path: Path
) -> None:
    """It passes over a wish for the likeliest classes in silence, and all the scores come."""
    remote, pixels = model(f"{mlserver_url}/{name}", tmp_path, options, image_size=32, answer="logits"), make_pixels(11)
    np.testing.assert_array_equal(ask(remote, pixels), right(pixels))
    np.testing.assert_array_equal(np.concatenate([ask(remote, one[None]) for one in pixels]), right(pixels))


def test_a_failure_that_comes_twice_is_final(mlserver_url: str, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], int]] = [({}, 16), ({"binary": True}, 32)]
    for options, side in cases:
        remote = model(f"{mlserver_url}/linear", tmp_path, options, image_size=side)
        with pytest.raises(EndpointError, match=r"same way each time. 2 requests .*2 x busy.*HTTP 500"):
            ask(remote, make_pixels(2, side=side))


def test_the_request_after_a_failure_goes_on_a_new_connection(mlserver_url: str, tmp_path: Path) -> None:
    """It closes the connection behind a failure, without saying so in the answer."""
    good, wrong = make_pixels(2), make_pixels(2, side=16)
    remote = model(f"{mlserver_url}/linear", tmp_path)
    for _ in range(10):
        failed = remote.sender.send(remote.protocol.request([remote.picture(one) for one in wrong]), timeout=120)
        assert failed.status == 500
        assert failed.headers["content-type"].startswith("text/plain")
        assert b"Traceback" in failed.body
        np.testing.assert_array_equal(ask(remote, good), right(good))


@pytest.mark.parametrize(
    ("target", "description", "message"),
    [
        ("nothing", {}, "Model nothing not found"),
        ("linear/versions/7", {}, "with version 7 not found"),
        ("linear", {"image_size": 16}, "fails in the same way each time"),
        ("linear", {"options": {"binary": True}}, "fails in the same way each time"),
    ],
)
def test_what_cannot_work_is_exit_code_4(
    target: str,
    description: dict[str, Any],
    message: str,
    mlserver_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--endpoint", describe(tmp_path, **description), "--data", "digits", "--budget", "60", "--size", "4"]
    assert main(["train", "--model", f"{mlserver_url}/{target}", *arguments, "--out", "run"]) == 4
    assert message in capsys.readouterr().err
