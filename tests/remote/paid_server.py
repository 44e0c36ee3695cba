"""A paid model in a few lines: its answers, the description of its endpoint, and a server that keeps books.

As a program, `paid_server.py FOLDER`: serves until it is killed, writes its port to FOLDER/port and the SHA-256 of
every image that it answered to FOLDER/sold, before the answer leaves. Where there is a FOLDER/limit, it waits when
FOLDER/sold has so many bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("grass", "brick", "zebra")
KEY = "canary-6f1d0c7be2a94f35"
"""What must be found nowhere."""


def likeliest(content: bytes) -> list[dict[str, Any]]:
    """The two likeliest names of an image file of 16x16; the model sees well what has a bright frame."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float)
    rows = pixels[4:-4, 4:-4]
    red, green, _ = rows.mean((0, 1))
    scores = np.array([green - red, red - green, abs(rows[::2].mean() - rows[1::2].mean())])
    scores = scores * min(max((pixels[:, :4].mean() - 110) / 120, 0), 1) / 20
    shares = np.exp(scores) / np.exp(scores).sum()
    order = np.argsort(-shares, kind="stable")[:2]
    return [{"name": NAMES[index], "value": round(float(shares[index]), 2)} for index in order]


def images_of(body: bytes) -> list[bytes]:
    return [base64.b64decode(text) for text in json.loads(body)["images"]]


def answer(body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    """The right answer, for a fault server; it echoes the key, as some endpoints do."""
    answers = [{"code": 0, "concepts": likeliest(content)} for content in images_of(body)]
    reply = {"answers": answers, "you": headers.get("authorization", "")}
    return 200, {"Content-Type": "application/json", "X-Request-Id": "r1"}, json.dumps(reply).encode()


def describe(folder: Path, **more: Any) -> Path:
    """Writes the description of the endpoint."""
    path = folder / "shop.json"
    options = {
        "body": {"images": {"$each": "$base64"}},
        "images": "answers[*]",
        "items": "concepts[*]",
        "label": "name",
        "score": "value",
        "image_error": {"code": "code", "ok": [0], "message": "error", "refused": [7]},
    }
    known = {"protocol": "json", "image_size": 16, "max_batch": 4, "headers": {"Authorization": "Bearer ${SHOP_KEY}"}}
    path.write_text(json.dumps({**known, "options": options, **more}))
    return path


class Shop(BaseHTTPRequestHandler):
    """Answers, and keeps books."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the other side waits for 40 ms
    books = -1
    limit = Path()
    draw = random.Random(0)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.wait_for_permission()
        status, headers, reply = answer(body, {})
        lines = "".join(hashlib.sha256(content).hexdigest() + "\n" for content in images_of(body))
        os.write(self.books, lines.encode())
        time.sleep(self.draw.uniform(0, 0.004))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(reply))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)
        self.wfile.flush()

    def wait_for_permission(self) -> None:
        while self.limit.exists() and os.fstat(self.books).st_size >= int(self.limit.read_text()):
            time.sleep(0.001)

    def log_message(self, *inputs: object) -> None:
        """Says nothing."""


class Quiet(ThreadingHTTPServer):
    """Clients that are killed are no news."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing."""


def main(folder: Path) -> None:
    Shop.limit = folder / "limit"
    Shop.books = os.open(folder / "sold", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Quiet(("127.0.0.1", 0), Shop) as server:
        (folder / "port.new").write_text(str(server.server_address[1]))
        (folder / "port.new").rename(folder / "port")
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
