"""Queries per second of the client beside a bare loop of `requests`, on one Triton, and what the ledger can write.

The model is the small one of tests/peers. All contenders send the same tensors (FP32, binary extension) and read the
scores. "client" is what a run does: pace, retry loop, a ledger on disk with every request written down before and
after; "in memory" is that with a ledger that is not on disk. They alternate; each repetition has its own images.

python experiments/remote/overhead.py [--repetitions 7]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "peers"))
from served.linear import LABELS, score
from servers import SERVED, triton, write_triton_model
from sweep import machine

from pixprompt.ledger import Budget
from pixprompt.ledger.reply_ledger import Received, ReplyLedger
from pixprompt.remote import RemoteJournal, connect

HERE = Path(__file__).parent
Canvases = npt.NDArray[np.uint8]
Contender = Callable[[Canvases], npt.NDArray[np.float32]]


def bare(url: str, concurrency: int, per_request: int) -> Contender:
    """The shortest loop that asks the same: one session per thread, no retry, nothing written down."""
    local = threading.local()

    def one(canvases: Canvases) -> npt.NDArray[np.float32]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        images = np.ascontiguousarray(canvases.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        raw = images.tobytes()
        given = {"name": "images", "shape": images.shape, "datatype": "FP32"}
        head = json.dumps(
            {
                "inputs": [{**given, "parameters": {"binary_data_size": len(raw)}}],
                "outputs": [{"name": "scores", "parameters": {"binary_data": True}}],
            }
        ).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        reply = local.session.post(f"{url}/infer", data=head + raw, headers=headers, timeout=60)
        reply.raise_for_status()
        length = int(reply.headers["Inference-Header-Content-Length"])
        return np.frombuffer(reply.content[length:], np.float32).reshape(len(canvases), -1)

    def ask(canvases: Canvases) -> npt.NDArray[np.float32]:
        parts = [canvases[start : start + per_request] for start in range(0, len(canvases), per_request)]
        if concurrency == 1:
            return np.concatenate([one(part) for part in parts])
        with ThreadPoolExecutor(concurrency) as pool:
            return np.concatenate(list(pool.map(one, parts)))

    return ask


def client(url: str, concurrency: int, per_request: int, scratch: Path, ledger: Path | None) -> Contender:
    """What a run does, in the portions in which a run asks."""
    endpoint = scratch / f"{per_request}.json"
    endpoint.write_text(json.dumps({"max_batch": per_request}))
    model = connect(url, endpoint=str(endpoint), concurrency=concurrency)
    journal = RemoteJournal(model, ReplyLedger(ledger), Budget(None), concurrency=concurrency)

    def ask(canvases: Canvases) -> npt.NDArray[np.float32]:
        images = torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 255
        return torch.cat([journal.query(part) for part in torch.split(images, journal.chunk)]).numpy()

    return ask


def measure(url: str, concurrency: int, per_request: int, count: int, repetitions: int) -> dict[str, Any]:
    """Asks about `count` images at a time, contender after contender, and compares the medians."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        contenders = {
            "bare": bare(url, concurrency, per_request),
            "client": client(url, concurrency, per_request, scratch, scratch / "ledger.sqlite"),
            "in memory": client(url, concurrency, per_request, scratch, None),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for repetition in range(repetitions + 1):
            canvases = np.random.default_rng(repetition).integers(130, 256, (count, 32, 32, 3), dtype=np.uint8)
            right = score(canvases.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
            for name in list(contenders) if repetition % 2 else list(contenders)[::-1]:
                began = time.perf_counter()
                found = contenders[name](canvases)
                seconds = time.perf_counter() - began
                np.testing.assert_array_equal(found, right)
                if repetition:  # the first one warms up
                    rates[name].append(count / seconds)
    return {"concurrency": concurrency, "images_per_request": per_request, "images": count, **_compared(rates)}


def _compared(rates: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in rates.items():
        rate = statistics.median(each)
        found[name] = {"queries_per_second": round(rate, 1), "all": [round(value, 1) for value in each]}
        if name != "bare":
            ratios = [mine / theirs for mine, theirs in zip(each, rates["bare"], strict=True)]
            extra = [1000 / mine - 1000 / theirs for mine, theirs in zip(each, rates["bare"], strict=True)]
            found[name] |= {
                "ratio": round(statistics.median(ratios), 3),
                "overhead_ms_per_query": round(statistics.median(extra), 3),
            }
    return found


def ledger_rates(repetitions: int, count: int = 400) -> Iterator[dict[str, Any]]:
    """Pairs of intent and answer per second, one after the other, beside what the disk itself can do."""
    for outputs, name in ((8, "8 scores"), (1000, "1,000 scores")):
        pairs, syncs = [], []
        for repetition in range(repetitions):
            with tempfile.TemporaryDirectory() as folder:
                pairs.append(_pairs(Path(folder) / "ledger.sqlite", outputs, count, repetition))
                syncs.append(_syncs(Path(folder) / "plain", count))
        yield {
            "ledger": name,
            "pairs_per_second": round(statistics.median(pairs), 1),
            "writes_per_second": round(2 * statistics.median(pairs), 1),
            "bare_write_and_fsync_per_second": round(statistics.median(syncs), 1),
            "all": [round(value, 1) for value in pairs],
        }


def _pairs(path: Path, outputs: int, count: int, seed: int) -> float:
    scores = np.random.default_rng(seed).standard_normal((count, outputs))
    bodies = [json.dumps({"outputs": [{"name": "scores", "data": row.tolist()}]}).encode() for row in scores]
    keys = [os.urandom(32) for _ in range(count)]
    with ReplyLedger(path) as ledger:
        began = time.perf_counter()
        for key, row, body in zip(keys, scores, bodies, strict=True):
            request = ledger.send([key], 0, [key])
            ledger.keep(request, [row], [None], Received(200, {}, body, 0.01), 1000)
        return count / (time.perf_counter() - began)


def _syncs(path: Path, count: int) -> float:
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(count):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return count / (time.perf_counter() - began)


def main() -> None:
    """Starts Triton, measures, and writes overhead.jsonl."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--images", type=int, default=512)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = [{"machine": machine()}]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = {"model.py": SERVED / "triton_model.py", "linear.py": SERVED / "linear.py"}
        write_triton_model(scratch / "models", "linear", files, labels=LABELS)
        with triton(scratch / "models", scratch / "log.txt", load=("linear",)) as peer:
            for concurrency in (1, 8):
                for per_request in (1, 8):
                    url = f"{peer.models}/linear"
                    lines.append(measure(url, concurrency, per_request, given.images, given.repetitions))
                    print(json.dumps(lines[-1]), flush=True)
    for line in ledger_rates(given.repetitions):
        lines.append(line)
        print(json.dumps(line), flush=True)
    (HERE / "overhead.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


if __name__ == "__main__":
    main()
