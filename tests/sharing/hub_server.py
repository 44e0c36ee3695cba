"""A stand-in for the HTTP interface of the Hugging Face Hub, as far as pushing and pulling a repository go."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_login"


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name -> path -> content."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def revision(self, repo: str) -> str:
        return hashlib.sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, status: int, value: Any = None, content: bytes | None = None, **headers: str) -> None:
        body = json.dumps(value).encode() if content is None else content
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, token = self.path.split("?")[0].strip("/"), self.headers.get("Authorization")
        self.server.requests.append((self.command, path, token))
        if self.command == "POST":
            if token != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "Invalid credentials"})
            return self.post(path.split("/"), body)
        return self.get(path.split("/"))

    def post(self, parts: list[str], body: bytes) -> None:
        if parts[:3] == ["api", "repos", "create"]:
            values = json.loads(body)
            name = f"{values['organization']}/{values['name']}" if values.get("organization") else values["name"]
            self.server.repos.setdefault(name, {})
            self.server.private.setdefault(name, values.get("visibility") == "private" or bool(values.get("private")))
            return self.answer(200, {"url": f"{self.server.url}/{name}", "name": name, "id": name})
        name = "/".join(parts[2:4])
        if parts[4:5] == ["preupload"]:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if parts[4:5] == ["commit"]:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.repos[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            revision = self.server.revision(name)
            url = f"{self.server.url}/{name}/commit/{revision}"
            return self.answer(200, {"success": True, "commitOid": revision, "commitUrl": url})
        return self.answer(200 if parts[:2] == ["api", "validate-yaml"] else 404, {"errors": [], "warnings": []})

    def get(self, parts: list[str]) -> None:
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        if name not in self.server.repos:
            return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        files, revision = self.server.repos[name], self.server.revision(name)
        if api and parts[4:5] == ["tree"]:
            oids = {path: hashlib.sha1(content).hexdigest() for path, content in files.items()}
            tree = [{"type": "file", "path": path, "size": len(files[path]), "oid": oid} for path, oid in oids.items()]
            return self.answer(200, tree)
        if api:
            siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
            return self.answer(200, {"id": name, "sha": revision, "siblings": siblings, "private": False, "tags": []})
        path = "/".join(parts[4:])
        if path not in files:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        etag = f'"{hashlib.sha1(files[path]).hexdigest()}"'
        return self.answer(200, content=files[path], ETag=etag, X_Repo_Commit=revision)

    do_GET = do_HEAD = do_POST = handle_any


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Runs the stand-in until the end of the block."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
