"""No proxies but those of a test, and a transport with a key."""

from collections.abc import Iterator

import pytest

from pixprompt.remote.http.transport import Transport

from .events import ManualTimers
from .one_request import KEY


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def transport() -> Iterator[Transport]:
    environment = {"KEY": KEY}
    with Transport({"Authorization": "Bearer ${KEY}"}, environment=environment, max_bytes=1 << 20) as opened:
        yield opened


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> ManualTimers:
    return ManualTimers(monkeypatch)
