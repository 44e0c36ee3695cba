"""A description of an endpoint sends a variable of the environment only where the user said that it may go."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pixprompt.cli import main
from pixprompt.core import ConfigError
from pixprompt.files.user_settings import settings_file
from pixprompt.ledger import Budget
from pixprompt.remote import RemoteJournal, connect
from pixprompt.remote.endpoint_file import read_endpoint
from pixprompt.remote.http.key_hosts import allow, allowed, forget, origin_of

from .fault_server import FaultServer
from .toy_endpoint import answer

HOST = "https://elsewhere.example"


@pytest.fixture(autouse=True)
def settings_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("CLOUD_SECRET", "aws-0123456789abcdef")
    return tmp_path / "settings"


def described(folder: Path, **more: Any) -> str:
    path = folder / "nice.json"
    options = {"body": {"image": "$base64"}, "items": "c", "label": "l", "score": "s"}
    headers = {"X-Note": "${CLOUD_SECRET}"}
    values = {"protocol": "json", "url": f"{HOST}/classify", "headers": headers, "options": options}
    path.write_text(json.dumps({**values, **more}))
    return str(path)


def test_a_description_may_not_send_a_variable_to_its_own_host(tmp_path: Path) -> None:
    with FaultServer(answer) as server:
        file = described(tmp_path, url=server.url)
        with pytest.raises(ConfigError, match=rf"CLOUD_SECRET to {server.url.rpartition('/')[0]}.*you have not said"):
            connect(None, endpoint=file)
        assert not server.received
        assert allow("CLOUD_SECRET", server.url) == origin_of(server.url)
        connect(None, endpoint=file)  # said once
    with pytest.raises(ConfigError, match=r"pixprompt keys CLOUD_SECRET https://elsewhere\.example"):
        connect(None, endpoint=described(tmp_path))  # another host is another question
    forget("CLOUD_SECRET")
    assert allowed() == {}


def test_who_gives_the_url_has_said_where_the_key_goes(tmp_path: Path) -> None:
    assert read_endpoint("https://mine.example/x", described(tmp_path)).headers == {"X-Note": "${CLOUD_SECRET}"}
    assert read_endpoint(None, "google-vision").headers  # the hosts of ready descriptions are known


def test_it_is_a_file_of_the_user_alone(settings_folder: Path) -> None:
    allow("A", "https://one.example/path?x#y")
    allow("A", "http://localhost:8000/v2")
    allow("B", "https://one.example:443")
    assert allowed() == {"A": ["http://localhost:8000", "https://one.example"], "B": ["https://one.example"]}
    assert settings_file("keys") == settings_folder / "pixprompt" / "keys.json"
    assert os.stat(settings_file("keys")).st_mode & 0o777 == 0o600
    assert os.stat(settings_file("keys").parent).st_mode & 0o777 == 0o700
    os.chmod(settings_file("keys"), 0o622)
    with pytest.raises(ConfigError, match=r"others may write to .*chmod 600"):
        allowed()


@pytest.mark.parametrize("content", ["", "[]", '{"keys": 3}', "[" * 100_000])
def test_a_damaged_file_allows_nothing(content: str, tmp_path: Path) -> None:
    allow("CLOUD_SECRET", HOST)
    settings_file("keys").write_text(content)
    with pytest.raises(ConfigError, match="is damaged"):
        connect(None, endpoint=described(tmp_path))


@pytest.mark.parametrize("url", ["host", "ftp://host", "https://", "https://host:port"])
def test_what_is_no_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL like https://host"):
        allow("A", url)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "CLOUD_SECRET", f"{HOST}/x"]) == 0
    assert capsys.readouterr().out == f"CLOUD_SECRET  may be sent to  {HOST}\n"
    assert main(["keys", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"CLOUD_SECRET": [HOST]}
    assert main(["keys", "CLOUD_SECRET"]) == 2
    assert main(["keys", "--forget"]) == 2
    assert main(["keys", "CLOUD_SECRET", "--forget"]) == 0
    assert allowed() == {}


def test_what_is_sent_where_is_said_before_anything_is(tmp_path: Path) -> None:
    file, lines = described(tmp_path), list[str]()
    model = connect("https://mine.example/x", endpoint=file)
    RemoteJournal(model, None, Budget(None)).announce(1, lines.append)
    assert lines[:2] == [
        "asks https://mine.example/x about up to 1 images (1 requests or more)",
        "sends the environment variable CLOUD_SECRET there, in the header X-Note",
    ]
