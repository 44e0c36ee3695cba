"""What stands around the proxy: a server that answers at once, and a forwarder that does nothing else.

python experiments/service/servers.py answer PORT
python experiments/service/servers.py forward PORT URL
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from pixprompt.remote import Upstream

BODY = b'[{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers requests with Content-Length, one after another."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length))
            writer.write(REPLY)
    except asyncio.IncompleteReadError:
        writer.close()


async def serve_answers(port: int) -> None:
    """Answers until it is killed."""
    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=1 << 24)
    await server.serve_forever()


class Forwarder:
    """Sends every request on and passes its reply back, with the client that the proxy has, too."""

    def __init__(self, url: str) -> None:
        self._upstream = Upstream(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forwards one request."""
        request = Request(scope, receive)
        reply = await self._upstream.send(
            request.method, scope["raw_path"].decode(), request.headers.items(), await request.body()
        )
        headers = [(name.encode(), value.encode()) for name, value in reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async for chunk in reply.chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await reply.close()


if __name__ == "__main__":
    if sys.argv[1] == "answer":
        asyncio.run(serve_answers(int(sys.argv[2])))
    else:
        uvicorn.run(
            Forwarder(sys.argv[3]), port=int(sys.argv[2]), http="h11", loop="asyncio", lifespan="off", log_level="error"
        )
