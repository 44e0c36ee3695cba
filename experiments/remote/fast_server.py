"""A server of Open Inference v2 that costs nothing: it sends the first eight numbers of each image back.

As a program, `fast_server.py SECONDS`: prints its port, and answers each request after so many seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys

SIDE, NUM_SCORES = 32, 8
_METADATA = {
    "name": "echo",
    "inputs": [{"name": "images", "datatype": "FP32", "shape": [-1, 3, SIDE, SIDE]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, NUM_SCORES]}],
}
_SERVER = {"name": "echo", "extensions": ["binary_tensor_data"]}
_LENGTH = b"inference-header-content-length:"


def _field(head: bytes, name: bytes) -> int:
    place = head.find(name)
    return int(head[place + len(name) :].split(b"\r\n", 1)[0]) if place >= 0 else 0


def _reply(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (
        more,
        len(body),
        body,
    )


def _scores(content: bytes) -> bytes:
    size = 4 * 3 * SIDE * SIDE
    rows = [content[start : start + 4 * NUM_SCORES] for start in range(0, len(content), size)]
    output = {"name": "scores", "datatype": "FP32", "shape": [len(rows), NUM_SCORES]}
    output["parameters"] = {"binary_data_size": 4 * NUM_SCORES * len(rows)}
    text = json.dumps({"model_name": "echo", "outputs": [output]}).encode()
    return _reply(text + b"".join(rows), b"Inference-Header-Content-Length: %d\r\n" % len(text))


class _Connection(asyncio.Protocol):
    def __init__(self, seconds: float) -> None:
        self.seconds, self.buffer = seconds, bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            whole = end + 4 + _field(head, b"\r\ncontent-length:")
            if len(self.buffer) < whole:
                return
            body = bytes(self.buffer[end + 4 : whole])
            del self.buffer[:whole]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if not path.endswith(b"/infer"):
            self.transport.write(_reply(json.dumps(_SERVER if path == b"/v2" else _METADATA).encode()))
            return
        reply = _scores(body[_field(head, _LENGTH) :])
        asyncio.get_running_loop().call_later(self.seconds, self.transport.write, reply)


async def main() -> None:
    """Serves until it is killed."""
    seconds = float(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(seconds), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
