"""Where runs are performed: in this process, in several, or on a Ray cluster, which does its own scheduling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from ..bulk.cluster import connect
from .runs import Outcome, Run, attempt, failure, perform

__all__ = ["InProcess", "OnRay", "Pool", "Processes"]

Start = Callable[[Run], None]
_WORKER = "pixprompt.bench.worker"


class Pool(Protocol):
    """Performs runs, each in a folder of its own below `folder`, and yields their outcomes as they come."""

    def __call__(self, runs: Sequence[Run], folder: Path, number: int, start: Start) -> Iterator[Outcome]:
        """Performs runs.

        Args:
            folder: Holds the folders of all runs.
            number: Which attempt it is, from 1 on.
            start: Is told of each run as it begins.
        """
        ...


class InProcess:
    """One run after the other in this process.

    Args:
        strict: Whether the first error ends it.
        more: What `perform` takes besides: a reporter, a model, data.
    """

    def __init__(self, *, strict: bool = False, **more: Any) -> None:
        self._strict, self._more = strict, more

    def __call__(self, runs: Sequence[Run], folder: Path, number: int, start: Start) -> Iterator[Outcome]:
        """See `Pool`."""
        for run in runs:
            start(run)
            place = folder / run.key
            if self._strict:
                yield Outcome(run.key, perform(run, place, **self._more))
            else:
                yield attempt(run, place, number, **self._more)


class Processes:
    """Each run in a process of its own, so many at a time, which take turns on the GPUs that there are.

    A run that is killed, or takes its process with it, is a failure like any other.
    """

    def __init__(self, jobs: int) -> None:
        self._slots: SimpleQueue[int] = SimpleQueue()
        self._jobs, self._children = jobs, set[subprocess.Popen[str]]()
        for slot in range(jobs):
            self._slots.put(slot)

    def __call__(self, runs: Sequence[Run], folder: Path, number: int, start: Start) -> Iterator[Outcome]:
        """See `Pool`."""
        folder.mkdir(parents=True, exist_ok=True)
        pool = ThreadPoolExecutor(self._jobs)
        futures = {pool.submit(self._perform, run, folder / run.key, number, start) for run in runs}
        try:
            while futures:
                finished, futures = wait(futures, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(self._children):
                child.terminate()

    def _perform(self, run: Run, folder: Path, number: int, start: Start) -> Outcome:
        slot = self._slots.get()
        start(run)
        order = json.dumps({"run": asdict(run), "folder": str(folder), "number": number})
        answer = ""
        try:
            with (
                suppress(BrokenPipeError),  # of one that ended before it read its order
                folder.with_suffix(".log").open("ab") as log,
                subprocess.Popen(
                    [sys.executable, "-m", _WORKER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env={**os.environ, **self._environment(slot)},
                ) as child,
            ):
                self._children.add(child)
                answer = _converse(child, order)
                self._children.discard(child)
        finally:
            self._slots.put(slot)
        if child.returncode or not answer:
            return failure(run, number, f"its process ended with code {child.returncode}; see {run.key}.log")
        return Outcome(**json.loads(answer))

    def _environment(self, slot: int) -> dict[str, str]:
        import torch

        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self._jobs))}
        own = {name: value for name, value in threads.items() if name not in os.environ}
        if torch.cuda.device_count() > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ:
            own["CUDA_VISIBLE_DEVICES"] = str(slot % torch.cuda.device_count())
        return own


def _converse(child: subprocess.Popen[str], order: str) -> str:
    """Sends an order and returns the answer; stdin stays open until then, so that the child sees this process end."""
    if child.stdin is None or child.stdout is None:
        return ""
    child.stdin.write(order + "\n")
    child.stdin.flush()
    return child.stdout.read()


class OnRay:
    """Each run as a task of a Ray cluster with one CPU, and one GPU where the cluster has any.

    The folder of the runs should be on a file system that all nodes share: a run is resumed from there.

    Args:
        address: Of the cluster; "local" starts one on this machine.
        jobs: CPUs of a local cluster; None for all.
    """

    def __init__(self, address: str, jobs: int | None = None) -> None:
        self._address, self._jobs = address, jobs

    def __call__(self, runs: Sequence[Run], folder: Path, number: int, start: Start) -> Iterator[Outcome]:
        """See `Pool`."""
        ray = connect(self._address, self._jobs)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(attempt)
        waiting = {task.remote(run, folder.absolute() / run.key, number): run for run in runs}
        while waiting:
            (ready,), _ = ray.wait(list(waiting))
            run = waiting.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                yield failure(run, number, f"{type(error).__name__}: {str(error).splitlines()[0]}")
