"""Queries per second of the client beside a bare loop of `requests`, on one server, and what the ledger costs.

The server sends a few numbers back at once, or after some milliseconds as a small model takes. All contenders send the
same tensors (FP32, binary extension) and read the scores. "client" is what a run does: rate limit, retry loop, a ledger
on disk with every request written down before and after, the disk waited for; "in memory" is that with a ledger that is
not on disk. They alternate; each repetition has its own images; a ratio is the median over the repetitions.

python experiments/remote/overhead.py [--repetitions 7] [--many 100000]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from fast_server import NUM_SCORES, SIDE
from sweep import machine

from pixprompt.ledger import Budget, ReplyLedger
from pixprompt.remote import RemoteJournal, connect

HERE = Path(__file__).parent
Canvases = npt.NDArray[np.uint8]
Contender = Callable[[Canvases], npt.NDArray[np.float32]]


@contextmanager
def server(milliseconds: float) -> Iterator[str]:
    """Runs the server in a process of its own; yields the URL of its model."""
    command = [sys.executable, str(HERE / "fast_server.py"), str(milliseconds / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int((process.stdout or sys.stdin).readline())}/v2/models/echo"
        finally:
            process.kill()


def bare(url: str, concurrency: int) -> Contender:
    """The shortest loop that asks the same: one session per thread, no retry, nothing written down."""
    local = threading.local()

    def one(canvas: Canvases) -> npt.NDArray[np.float32]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        images = np.ascontiguousarray(canvas[None].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        raw = images.tobytes()
        options = {"name": "images", "shape": images.shape, "datatype": "FP32"}
        head = json.dumps(
            {
                "inputs": [{**options, "parameters": {"binary_data_size": len(raw)}}],
                "outputs": [{"name": "scores", "parameters": {"binary_data": True}}],
            }
        ).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        reply = local.session.post(f"{url}/infer", data=head + raw, headers=headers, timeout=60)
        reply.raise_for_status()
        return np.frombuffer(reply.content[int(reply.headers["Inference-Header-Content-Length"]) :], np.float32)

    def query(canvases: Canvases) -> npt.NDArray[np.float32]:
        if concurrency == 1:
            return np.stack([one(canvas) for canvas in canvases])
        with ThreadPoolExecutor(concurrency) as pool:
            return np.stack(list(pool.map(one, canvases)))

    return query


def journal(url: str, concurrency: int, folder: Path, ledger: Path | None) -> RemoteJournal:
    """The client of a run, one image per request."""
    endpoint = folder / "endpoint.json"
    endpoint.write_text(json.dumps({"max_batch": 1, "options": {"binary": True}}))
    model = connect(url, endpoint=str(endpoint), concurrency=concurrency)
    return RemoteJournal(model, ReplyLedger(ledger), Budget(None), concurrency=concurrency)


def client(querier: RemoteJournal) -> Contender:
    """What a run does, in the portions in which a run queries."""

    def query(canvases: Canvases) -> npt.NDArray[np.float32]:
        images = torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255
        return torch.cat([querier.query(part) for part in torch.split(images, querier.chunk)]).numpy()

    return query


def noise(count: int, seed: int) -> Canvases:
    """Images that differ."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def measure(url: str, milliseconds: float, concurrency: int, count: int, repetitions: int) -> dict[str, Any]:
    """Queries `count` images at a time, contender after contender, and compares the medians."""
    with tempfile.TemporaryDirectory(dir=".") as place:
        folder = Path(place)
        contenders = {
            "bare": bare(url, concurrency),
            "client": client(journal(url, concurrency, folder, folder / "ledger.sqlite")),
            "in memory": client(journal(url, concurrency, folder, None)),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for repetition in range(repetitions + 1):
            canvases = noise(count, repetition)
            right = (canvases[:, 0, :NUM_SCORES, 0] / np.float32(255)).astype(np.float32)
            for name in list(contenders) if repetition % 2 else list(contenders)[::-1]:
                began = time.perf_counter()
                result = contenders[name](canvases)
                seconds = time.perf_counter() - began
                np.testing.assert_array_equal(result, right)
                if repetition:  # the first one warms up
                    rates[name].append(count / seconds)
    ratios = {
        name: round(statistics.median(mine / theirs for mine, theirs in zip(each, rates["bare"], strict=True)), 3)
        for name, each in rates.items()
    }
    return {
        "server_ms": milliseconds,
        "concurrency": concurrency,
        "images": count,
        "queries_per_second": {name: round(statistics.median(each), 1) for name, each in rates.items()},
        "ratio": ratios,
        "all": {name: [round(rate, 1) for rate in each] for name, each in rates.items()},
    }


def many(count: int) -> Iterator[dict[str, Any]]:
    """One run of many queries, and its replay by another session: time, and the most memory so far."""
    with tempfile.TemporaryDirectory(dir=".") as place, server(0.0) as url:
        folder = Path(place)
        for name in ("run", "replay"):
            querier = journal(url, 8, folder, folder / "ledger.sqlite")
            query, memory, began = client(querier), [_megabytes()], time.perf_counter()
            for start in range(0, count, 5000):
                query(noise(min(5000, count - start), start))
                memory.append(_megabytes())
            seconds = time.perf_counter() - began
            querier.close()
            yield {
                name: count,
                "seconds": round(seconds, 2),
                "per_second": round(count / seconds, 1),
                "megabytes_after_a_fifth": memory[len(memory) // 5],
                "megabytes_at_last": memory[-1],
            }


def _megabytes() -> float:
    """The most memory that this process ever had, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    """Measures, and writes overhead.jsonl."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=HERE / "overhead.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = [{"machine": machine()}]
    for milliseconds in (0.0, 5.0):
        with server(milliseconds) as url:
            for concurrency in (1, 8, 32):
                lines.append(measure(url, milliseconds, concurrency, options.images, options.repetitions))
                print(json.dumps(lines[-1]), flush=True)
    for line in many(options.many) if options.many else ():
        lines.append(line)
        print(json.dumps(line), flush=True)
    options.out.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


if __name__ == "__main__":
    main()
