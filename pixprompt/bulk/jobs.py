"""Which images are read and where their results go; checked before anything is written, and never all in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core import ConfigError, DataError
from ..files.images import IMAGE_SUFFIXES
from ..stores import Location, images_at

__all__ = ["Failure", "Job", "Jobs", "find_jobs"]


@dataclass(frozen=True)
class Job:
    """One image to read and where its prompted canvases go, one for each page of the prompt."""

    source: Location
    targets: tuple[Location, ...]


@dataclass(frozen=True)
class Failure:
    """An image, or a folder, that could not be read."""

    path: Location
    reason: str


@dataclass
class Jobs:
    """The images of some inputs, listed again each time that they are iterated over.

    Attributes:
        out: The folder of the results; what lies below it is not taken for an input.
        suffix: Of the results, with its dot.
        views: How many results each image has; several go to folders of their own.
        failures: Folders that cannot be listed.
        num_finished: Images besides, whose results an earlier call has written.
    """

    inputs: Sequence[Location]
    out: Location
    suffix: str
    views: int = 1
    failures: list[Failure] = field(default_factory=list)
    count: int = 0
    num_finished: int = 0
    _finished: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _repeated: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Job]:
        return (job for job in self.all() if not self.is_finished(job))

    def all(self) -> Iterator[Job]:
        """Yields the jobs, those of an earlier call included; an image that is named twice comes once."""
        inodes = set()
        for job in self.listed([]):
            key = _digest(job.targets[0])
            if key in self._repeated and key in inodes:
                continue
            if key in self._repeated:
                inodes.add(key)
            yield job

    def listed(self, failures: list[Failure]) -> Iterator[Job]:
        """Yields a job for each image, as often as it is named; folders that cannot be listed go into `failures`."""

        def refuse(error: OSError) -> None:
            failures.append(Failure(Path(error.filename), error.strerror or str(error)))

        folders = [self.out] if self.views == 1 else [self.out / f"view-{n}" for n in range(1, self.views + 1)]
        for place in self.inputs:
            for source, inside in images_at(place, on_error=refuse, skip=self.out):
                name = inside.with_suffix("") if inside.suffix.lower() in IMAGE_SUFFIXES else inside
                yield Job(source, tuple(folder / f"{name.as_posix()}{self.suffix}" for folder in folders))

    def is_finished(self, job: Job) -> bool:
        """Whether an earlier call has written all results of an image."""
        keys = np.array([_digest(target) for target in job.targets])
        return len(self._finished) > 0 and bool(_are_in(keys, self._finished).all())

    def leave_out_finished(self) -> None:
        """Leaves out the images whose results are in the folder."""
        try:
            there = array("q", (_digest(path) for path, _ in images_at(self.out, on_error=lambda _: None)))
        except DataError:  # no such folder in the store yet
            return
        self._finished = np.sort(np.array(there, np.int64))
        self.num_finished = sum(map(self.is_finished, self.all()))
        self.count -= self.num_finished


def find_jobs(inputs: Sequence[Location], out: Location, suffix: str, *, keep: Location, views: int = 1) -> Jobs:
    """Finds every image and where its result goes, before anything is written; 16 to 24 bytes of each stay in memory.

    Args:
        inputs: See `Jobs`, as for the following two.
        suffix: Of the results.
        keep: A further file that must not be overwritten.
        views: How many results each image has.

    Raises:
        ConfigError: Two inputs have the same target, or a target is an input.
        DataError: There is no image.
    """
    jobs = Jobs(inputs, out, suffix, views)
    targets, sources, existing = array("q"), array("q", [_identity(keep)]), array("q")
    for job in jobs.listed(jobs.failures):
        targets.append(_digest(job.targets[0]))
        sources.append(_identity(job.source))
        existing.extend(_identity(target) for target in job.targets if not isinstance(target, Path) or target.exists())
    if not targets:
        reasons = "".join(f" {failure.path}: {failure.reason}." for failure in jobs.failures)
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"no image in {', '.join(map(str, inputs))}.{reasons} In a folder, these are read: {known}.")
    keys = np.frombuffer(targets, np.int64)
    keys.sort()
    jobs._repeated = frozenset(keys[1:][keys[1:] == keys[:-1]].tolist())
    jobs.count = len(keys) - int((keys[1:] == keys[:-1]).sum())
    if jobs._repeated:
        _check_repeated(jobs)
    ordered = np.frombuffer(sources, np.int64)
    ordered.sort()
    there = np.array(existing, np.int64)
    at_risk = frozenset(there[_are_in(there, ordered)].tolist())
    if at_risk:
        _check_overwritten(jobs, at_risk)
    return jobs


def _check_repeated(jobs: Jobs) -> None:
    first: dict[Location, Job] = {}
    for job in jobs.listed([]):
        if _digest(job.targets[0]) in jobs._repeated:
            other = first.setdefault(job.targets[0], job)
            if _identity(other.source) != _identity(job.source):
                raise ConfigError(
                    f"{other.source} and {job.source} would both be written to {job.targets[0]}. Rename one of them, "
                    "put a prompt on them in two calls with different --out, or give the folder that holds both."
                )


def _check_overwritten(jobs: Jobs, at_risk: frozenset[int]) -> None:
    for target in (target for job in jobs.listed([]) for target in job.targets):
        if _identity(target) in at_risk:
            raise ConfigError(f"{target} is an input and would be overwritten. Choose another folder with --out.")


def _identity(place: Location) -> int:
    """Returns a number that two paths share where they are one file, links included."""
    if isinstance(place, Path):
        try:
            status = place.stat()
            return hash((status.st_dev, status.st_ino))
        except OSError:  # a broken link: opening it reports the reason
            pass
    return _digest(place)


def _digest(place: Location) -> int:
    return hash(str(place) if isinstance(place, Path) else place.url)


def _are_in(keys: npt.NDArray[np.int64], ordered: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    places = np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)
    return np.asarray(ordered[places] == keys)
