"""What the proxy adds to a request: latency and throughput beside a forwarder that does nothing else.

nice python experiments/service/latency.py --requests 2000 --rounds 3 --out experiments/service/results.jsonl

The server behind answers at once. Both forwarders run on uvicorn with the same client to it; they take turns. An image
is a photo-like JPEG of 256x256 that becomes a canvas of 224x224 and is sent on as PNG.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from pixprompt import Canvas, Prompt, __version__

HERE = Path(__file__).parent
CONCURRENCY = (1, 8, 64)


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: str, port: int) -> Iterator[int]:
    """Runs a program until the end of the block, which begins when it listens; gives its process number."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process has used, which other programs on the machine change little."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_prompt(path: Path) -> None:
    """Writes a frame of 30 pixels, added."""
    rgba = np.random.default_rng(0).integers(0, 256, (224, 224, 4), dtype=np.uint8)
    rgba[30:-30, 30:-30] = 0
    template = {"name": "padding", "params": {"size": 30}}
    Prompt(rgba=rgba, canvas=Canvas((224, 224)), blend="add", delta_scale=1.0, template=template).save(path)


def photo() -> bytes:
    """Returns smoothed noise as JPEG, of about the size that a photo has."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def request_of(body: bytes, kind: str) -> bytes:
    """Returns a request as bytes."""
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def client(port: int, request: bytes, count: int) -> list[float]:
    """Sends a request again and again; returns the seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length))
        seconds.append(time.perf_counter() - start)
    writer.close()
    return seconds


async def load(port: int, request: bytes, at_once: int, count: int) -> tuple[list[float], float]:
    """Sends requests over so many connections; returns what each took, and how long all of them did."""
    start = time.perf_counter()
    durations = await asyncio.gather(*(client(port, request, count // at_once) for _ in range(at_once)))
    return [seconds for each in durations for seconds in each], time.perf_counter() - start


def main() -> None:
    """Measures, and writes one line per setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=512, help="per setting and round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "results.jsonl")
    arguments = parser.parse_args()
    behind, bare, proxy = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{behind}"
    requests = {
        "image": request_of(photo(), "image/jpeg"),
        "no image": request_of(b'{"inputs": "hi"}', "application/json"),
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_prompt(folder / "p.png")
        servers = str(HERE / "servers.py")
        stack.enter_context(running(servers, "answer", str(behind), port=behind))
        pids = {"forwarder": stack.enter_context(running(servers, "forward", str(bare), url, port=bare))}
        code = "from pixprompt.cli import main; main()"
        options = ["--to", url, "--port", str(proxy), "--ledger", str(folder / "l.sqlite")]
        command = ("-c", code, "proxy", str(folder / "p.png"), *options)
        pids["proxy"] = stack.enter_context(running(*command, port=proxy))
        lines = []
        for round_ in range(arguments.rounds):
            for what, request in requests.items():
                for at_once in CONCURRENCY:
                    for name, port in (("forwarder", bare), ("proxy", proxy)):
                        asyncio.run(load(port, request, at_once, 2 * at_once))  # connections are there then
                        before = cpu_seconds(pids[name])
                        durations, seconds = asyncio.run(load(port, request, at_once, arguments.requests))
                        cpu = round(1000 * (cpu_seconds(pids[name]) - before) / len(durations), 2)
                        median, p99 = (round(1000 * float(np.quantile(durations, share)), 3) for share in (0.5, 0.99))
                        speed = round(len(durations) / seconds, 1)
                        line = {"request": what, "at_once": at_once, "server": name, "round": round_}
                        line |= {
                            "median_ms": median,
                            "p99_ms": p99,
                            "per_second": speed,
                            "cpu_ms": cpu,
                            "requests": len(durations),
                        }
                        line |= {"version": __version__, "machine": platform.platform()}
                        lines.append(json.dumps(line))
                        sys.stdout.write(lines[-1] + "\n")
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
