"""The same work on a Ray cluster, by Ray Data: results are to the byte those of this machine.

Every node needs this package, and a way to the images and to the folder of the results: a file system that all of them
share, or a store.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias, cast

from .. import core
from ..core import ConfigError, PixpromptError
from ..stores import locate, text_of
from .jobs import Job
from .prompter import Prompter

__all__ = ["connect", "map_batches", "work_all"]

Work: TypeAlias = Callable[[], Callable[[Any], Any]]
_AT_A_TIME = 512
"""Batches that are handed to the cluster together, so that memory here does not grow with their number."""
_BATCH = 64
"""Images of one."""
_MISSING = "a Ray cluster needs Ray: pip install 'pixprompt[ray]'."


def connect(address: str, num_cpus: int | None = None) -> Any:
    """Connects this process to a cluster, unless it is connected, and returns Ray.

    Args:
        address: Of the cluster; "local" starts one on this machine.
        num_cpus: Of one that is started here; None for all.

    Raises:
        ConfigError: Ray is not installed, or does not reach the cluster.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of its own next version
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError(_MISSING) from error
    if not ray.is_initialized():
        cpus = num_cpus if address == "local" else None
        try:
            ray.init(
                address=address,
                num_cpus=cpus,
                log_to_driver=False,
                include_dashboard=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError) as error:
            raise ConfigError(f"no Ray cluster at {address!r}: {error}") from error
    return ray


def _ray_data(address: str) -> Any:
    """Connects to a cluster, see `connect`, and returns Ray Data, silent and with results in order."""
    connect(address)
    try:
        import ray.data
    except ModuleNotFoundError as error:
        raise ConfigError(_MISSING) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    return ray.data


class _Worker:
    """Works on batches in a process of the cluster; what fails there with an error of this package is told here."""

    def __init__(self, made: Any, folder: str) -> None:
        with suppress(OSError):  # paths mean what they mean where the command was given
            os.chdir(folder)
        self._made = made
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {"outcome": [json.dumps(self._outcome(json.loads(batch))) for batch in columns["batch"]]}

    def _outcome(self, batch: Any) -> dict[str, Any]:
        import ray

        try:
            work = self._work = self._work or ray.get(self._made)()
            return {"result": work(batch)}
        except PixpromptError as error:
            return {"error": type(error).__name__, "text": str(error)}


def map_batches(address: str, batches: Iterable[Any], make: Work, *, gpu: bool = False) -> Iterator[Any]:
    """Yields a result for each batch, in order; memory here does not grow with their number.

    Args:
        address: Of the cluster, see `connect`.
        batches: What is worked on, each of what JSON holds, as each result.
        make: Called once in each process, returns what works on a batch.
        gpu: Whether each process takes a GPU, where the cluster has any.

    Raises:
        ConfigError: What `make` holds cannot be sent to a cluster.
        PixpromptError: A batch has failed; of the same class where that is one of `core`.
    """
    data, waiting = _ray_data(address), iter(batches)
    import ray

    try:
        made = ray.put(make)
    except TypeError as error:
        raise ConfigError("the images or the model cannot be sent to a cluster; leave out --ray.") from error
    resources = cast(Any, ray).cluster_resources()
    gpus, cpus = (int(resources.get(name, 0)) for name in ("GPU", "CPU"))
    needs = {"num_gpus": 1, "concurrency": (1, gpus)} if gpu and gpus else {"concurrency": (1, max(1, cpus))}
    arguments = {"fn_constructor_args": (made, os.getcwd()), "batch_size": 1, **needs}
    while part := [{"batch": json.dumps(batch)} for batch in itertools.islice(waiting, _AT_A_TIME)]:
        outcomes = data.from_items(part, override_num_blocks=len(part)).map_batches(_Worker, **arguments)
        try:
            for row in outcomes.iter_rows():
                outcome = json.loads(row["outcome"])
                if "error" in outcome:
                    raise getattr(core, outcome["error"], PixpromptError)(outcome["text"])
                yield outcome["result"]
        except ray.exceptions.RayError as error:
            raise PixpromptError(f"the cluster has failed: {str(error).strip().splitlines()[-1]}") from error


def work_all(prompter: Prompter, jobs: Iterable[Job], address: str) -> Iterator[tuple[Job, str | None]]:
    """Works through jobs on a cluster and yields them in order; see `Prompter.work_all`."""
    prompt, encode = prompter.prompt, prompter.encode

    def make() -> Callable[[Any], Any]:
        own = Prompter(prompt, encode)

        def work(batch: list[tuple[str, list[str]]]) -> list[str | None]:
            return [own.work(Job(locate(source), tuple(map(locate, targets)))) for source, targets in batch]

        return work

    in_flight: deque[Job] = deque()

    def batches() -> Iterator[list[tuple[str, list[str]]]]:
        waiting = iter(jobs)
        while batch := list(itertools.islice(waiting, _BATCH)):
            in_flight.extend(batch)
            yield [(text_of(job.source), [text_of(target) for target in job.targets]) for job in batch]

    for reasons in map_batches(address, batches(), make):
        yield from ((in_flight.popleft(), reason) for reason in reasons)
