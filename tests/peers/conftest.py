"""The peers, started once for all tests that need them and stopped whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .served.linear import LABELS
from .servers import SERVED, missing, mlserver, transformers, triton, write_triton_model

INPUTS = {
    "linear": {"name": "images", "datatype": "FP32", "shape": [-1, 3, 32, 32]},
    "files": {"name": "images", "datatype": "BYTES", "shape": [-1, 1]},
}


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def needs(name: str) -> None:
    reason = missing(name)
    if reason:
        pytest.skip(reason)


def write_repository(folder: Path) -> Path:
    """Writes models "linear" and, of probabilities, "shares"; "bytes" takes whole numbers, "files" image files."""
    files = {"model.py": SERVED / "triton_model.py", "linear.py": SERVED / "linear.py"}
    for name in ("linear", "shares"):
        write_triton_model(folder, name, files, labels=LABELS)
    write_triton_model(folder, "bytes", files, labels=LABELS, datatype="UINT8", dims=(32, 32, 3))
    write_triton_model(folder, "files", files, labels=LABELS, datatype="STRING", dims=(1,))
    return folder


@pytest.fixture(scope="session")
def triton_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """.../v2/models of a Triton with all models of `write_repository`."""
    needs("triton")
    folder = tmp_path_factory.mktemp("triton")
    load = ("linear", "shares", "bytes", "files")
    with triton(write_repository(folder / "models"), folder / "log.txt", load=load) as peer:
        yield peer.models


@pytest.fixture(scope="session")
def mlserver_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """.../v2/models of an MLServer with "linear" and "files"."""
    needs("mlserver")
    folder = tmp_path_factory.mktemp("mlserver")
    with mlserver(folder, folder / "log.txt", INPUTS) as models:
        yield models


@pytest.fixture(scope="session")
def chat_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a `transformers serve` with the model "tiny", without the path."""
    needs("transformers")
    folder = tmp_path_factory.mktemp("transformers")
    with transformers(folder, folder / "log.txt") as url:
        yield url
