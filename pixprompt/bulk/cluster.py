"""The same work on a Ray cluster, by Ray Data: results are to the byte those of this machine.

Every node needs this package, and a way to the images and to the folder of the results: a file system that all of them
share, or a store.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..core import ConfigError, PixpromptError
from ..stores import locate, text_of
from .jobs import Job
from .prompter import Prompter

__all__ = ["connect", "map_rows", "ray_data", "work_all"]

_AT_A_TIME = 20_000
"""Jobs that are handed to the cluster together, so that memory here does not grow with their number."""
_BATCH = 64
"""Images of a task."""
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


def ray_data(address: str) -> Any:
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


def map_rows(
    data: Any, rows: Iterable[dict[str, Any]], work: Callable[..., Any], batch_size: int = _BATCH, **options: Any
) -> Iterator[dict[str, Any]]:
    """Yields a result for each row, in order; memory here does not grow with their number.

    Args:
        data: From `ray_data`.
        rows: What is worked on.
        work: See `map_batches` of Ray Data: columns -> columns.
        batch_size: Rows that `work` is given.
        options: Further ones of `map_batches`.

    Raises:
        PixpromptError: A row has failed with one.
    """
    from ray.exceptions import RayError

    waiting = iter(rows)
    while part := list(itertools.islice(waiting, _AT_A_TIME)):
        blocks = -(-len(part) // batch_size)
        results = data.from_items(part, override_num_blocks=blocks).map_batches(work, batch_size=batch_size, **options)
        try:
            yield from results.iter_rows()
        except RayError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, PixpromptError):
                cause = getattr(cause, "cause", None) or cause.__cause__
            raise (PixpromptError(str(error).strip().splitlines()[-1]) if cause is None else cause) from error


def work_all(prompter: Prompter, jobs: Iterable[Job], address: str) -> Iterator[tuple[Job, str | None]]:
    """Works through jobs on a cluster and yields them in order; see `Prompter.work_all`."""
    prompt, encode = prompter.prompt, prompter.encode

    def work(columns: dict[str, Any]) -> dict[str, Any]:
        own = Prompter(prompt, encode)
        places = zip(columns["source"], columns["targets"], strict=True)
        jobs = [Job(locate(source), tuple(map(locate, targets))) for source, targets in places]
        return {"reason": [own.work(job) or "" for job in jobs]}

    in_flight: deque[Job] = deque()

    def rows() -> Iterator[dict[str, Any]]:
        for job in jobs:
            in_flight.append(job)
            yield {"source": text_of(job.source), "targets": [text_of(target) for target in job.targets]}

    for row in map_rows(ray_data(address), rows(), work):
        yield in_flight.popleft(), row["reason"] or None
