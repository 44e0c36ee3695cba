"""What every test may use: the real weights and images beside the project, where they lie there."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs do not hear Ctrl-C
torch.set_num_threads(1)  # of tiny tensors several threads only wait for each other, and for the other test process

_BUSY = [HealthCheck.too_slow]  # how long it takes says more about a busy machine than about a strategy
settings.register_profile("explore", deadline=None, suppress_health_check=_BUSY)
settings.register_profile("fixed", deadline=None, suppress_health_check=_BUSY, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))  # the same examples on every machine

_SETTINGS = tempfile.mkdtemp()
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = _SETTINGS  # what the user allows stays out of the tests
atexit.register(shutil.rmtree, _SETTINGS, ignore_errors=True)

SHARED = Path(os.environ.get("PIXPROMPT_ASSETS", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with real weights and images; tests that need it are skipped, visibly, without it."""
    if not (SHARED / "ASSETS.md").exists():
        pytest.skip(f"no assets at {SHARED}; set PIXPROMPT_ASSETS to their folder")
    return SHARED


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run offline: only this machine itself may be called."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test tried to call {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the canvas cache of the user out of the tests."""
    monkeypatch.setenv("PIXPROMPT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
