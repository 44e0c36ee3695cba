"""`pixprompt apply`: a prompt on image files and folders. No torch import, and no import that is not needed.

Workers are threads: Pillow decodes, resizes and encodes outside the interpreter's lock, and threads start at once.
"""

from __future__ import annotations

import base64
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from PIL import Image

from ...canvas import MAX_PIXELS, Pixels, decode
from ...canvas.encoding import JPEG_QUALITY, encode_jpeg, encode_png
from ...core import ConfigError, DataError, ImageError, PromptError
from ...files import make_folder, write_bytes
from ...image_files import IMAGE_SUFFIXES, walk
from ...prompt import Page, Pages, load_committee
from ...sharing import prompt_path
from ..options import json_option, print_json
from ..terminal import echo, json_line, printable
from .pipes import PIPE, Record, read_records, reads_pipe

__all__ = ["Job", "apply", "find_jobs", "put_prompt"]


@dataclass(frozen=True)
class Job:
    """One image to read and where its prompted canvases go, one for each page of the prompt."""

    source: Path
    targets: tuple[Path, ...]


@dataclass(frozen=True)
class Failure:
    """An image, or a folder, that could not be read."""

    path: Path
    reason: str


@click.command
@click.argument("prompt_file", metavar="PROMPT.png|RUN|hf:OWNER/NAME")
@click.argument(
    "inputs", nargs=-1, required=True, type=click.Path(exists=True, readable=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, allow_dash=True, path_type=Path),
    help="Folder to write to; - for stdout, where the input is stdin.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["png", "jpeg"]),
    default="png",
    show_default=True,
    help="Format of the files: png keeps every pixel; jpeg changes pixels, and a little of what the prompt does.",
)
@click.option(
    "--quality", type=click.IntRange(1, 100), help=f"Quality of --format jpeg, 1 to 100.  [default: {JPEG_QUALITY}]"
)
@click.option("--workers", type=click.IntRange(min=1), help="Images at a time.  [default: one per core]")
@json_option
@click.pass_context
def apply(
    context: click.Context,
    prompt_file: str,
    inputs: tuple[Path, ...],
    out: Path,
    file_format: str,
    quality: int | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Put PROMPT.png, or the prompt of a run, on images: files, and folders with all that is below them.

    An image of any size and mode becomes the canvas that the prompt was made for, the prompt is laid on it, and the
    result is written below --out, at the image's path inside its folder; a prompt of several views writes one image for
    each, below --out/view-1, --out/view-2 and so on. An image that cannot be read is named on
    stderr and left out; the exit code is then 1. Inside folders, hidden files and other files than images are
    passed over.

    With - as the only input and --out -, an image on stdin goes to stdout; or JSON lines do, each with a "path" or an
    "image" in base64. Their results come in order, as "image" (of several views "images"), or as "error".
    """
    if quality is not None and file_format != "jpeg":
        raise click.UsageError("--quality goes with --format jpeg; a PNG keeps every pixel.")
    piped = _is_piped(inputs, out, as_json)
    prompt = _load(prompt_file)
    encode = encode_png if file_format == "png" else partial(encode_jpeg, quality=quality or JPEG_QUALITY)
    if piped:
        context.exit(_apply_to_pipe(prompt, encode, workers or _cores()))
    own = prompt_path(prompt_file)
    suffix = ".png" if file_format == "png" else ".jpg"
    jobs, failures = find_jobs(inputs, out, suffix, keep=own, views=len(prompt.pages))
    make_folder(out)
    start, written = time.perf_counter(), 0
    with _progress(len(jobs)) as (step, say):
        for failure in failures:
            say(f"cannot read {failure.path}: {failure.reason}")
        try:
            for job, reason in put_prompt(prompt, jobs, encode, workers or _cores()):
                step()
                if reason is None:
                    written += 1
                else:
                    failures.append(Failure(job.source, reason))
                    say(f"cannot read {job.source}: {reason}")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted: {written} of {len(jobs)} images written to {out}") from None
    _report(out, written, len(prompt.pages), failures, time.perf_counter() - start, as_json=as_json)
    if failures:
        click.echo(f"{len(failures)} could not be read", err=True)
        context.exit(1)


def _is_piped(inputs: tuple[Path, ...], out: Path, as_json: bool) -> bool:
    """Returns whether images come on stdin and go to stdout.

    Raises:
        UsageError: Only one of the two is so, or something else is to go to stdout.
    """
    piped = reads_pipe(tuple(map(str, inputs)))
    if piped != (str(out) == PIPE):
        raise click.UsageError("stdin and stdout go together: apply PROMPT - --out -")
    if piped and as_json:
        raise click.UsageError("--out - fills stdout by itself; leave out --json.")
    return piped


def _apply_to_pipe(prompt: Pages, encode: Callable[[Pixels], bytes], workers: int) -> int:
    """Prompts what comes on stdin, and returns the exit code.

    Raises:
        ImageError: It is no image, nor JSON lines.
        PromptError: One image would become several.
    """
    failed, room, stdout = 0, PixelRoom(MAX_PIXELS), sys.stdout.buffer
    with ThreadPoolExecutor(workers) as pool:
        for records in read_records(4 * workers):
            for content, whole in pool.map(partial(_work_on_record, prompt, encode, room), records):
                failed += not whole
                stdout.write(content)
            stdout.flush()
    return 1 if failed else 0


def _work_on_record(
    prompt: Pages, encode: Callable[[Pixels], bytes], room: PixelRoom, record: Record
) -> tuple[bytes, bool]:
    """Returns what goes to stdout, and whether it is an image; see `_apply_to_pipe`."""
    try:
        pages = [encode(page.overlay(canvas)) for page, canvas in _canvases(prompt, record.open, room)]
    except ImageError as error:
        if record.alone:
            raise
        return _line(record, {"error": str(error)}), False
    if record.alone and len(pages) > 1:
        raise PromptError(f"one image becomes {len(pages)} under this prompt; pipe JSON lines instead.")
    texts = [base64.b64encode(content).decode() for content in pages]
    return pages[0] if record.alone else _line(
        record, {"image": texts[0]} if len(texts) == 1 else {"images": texts}
    ), True


def _line(record: Record, result: dict[str, Any]) -> bytes:
    return f"{json_line({**record.fields, **result})}\n".encode()


def _canvases(prompt: Pages, opener: Callable[..., Image.Image], room: PixelRoom) -> list[tuple[Page, Pixels]]:
    """Returns each page with its canvas of an image.

    Raises:
        ImageError: It cannot be read.
    """
    with ExitStack() as taken:
        image = opener(admit=lambda pixels: taken.enter_context(room.take(pixels)))
        return [(page, page.canvas.make(image)) for page in prompt.pages]


def _report(out: Path, written: int, views: int, failures: list[Failure], seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "written": written,
                "views": views,
                "failed": [{"path": str(failure.path), "reason": failure.reason} for failure in failures],
                "out": str(out),
                "seconds": round(seconds, 3),
                "images_per_second": round(written / seconds, 1),
            }
        )
    else:
        each = f", each under {views} views," if views > 1 else ""
        click.echo(f"{written} images{each} written to {out} in {seconds:.1f} s ({written / seconds:.0f} images/s)")


def _load(source: str) -> Pages:
    path = Path(source)
    if not (path / "adapter.safetensors").exists() or not (path / "config.json").exists():
        return load_committee(prompt_path(source))
    from ...engine.config.train_config import run_config
    from ...engine.saved.per_image_prompt import load_per_image

    if run_config(path).method.white_box:
        raise PromptError(
            f"{path} has learned something inside the model, which cannot be put on images. "
            f"Read labels with: pixprompt predict {path} IMAGES"
        )
    return load_per_image(path, device="cpu")


def find_jobs(
    inputs: Iterable[Path], out: Path, suffix: str, *, keep: Path, views: int = 1
) -> tuple[list[Job], list[Failure]]:
    """Finds every image and where its result goes, before anything is written.

    Args:
        inputs: Files and folders.
        out: The folder of the results; what lies below it is not taken for an input.
        suffix: Of the results, with its dot.
        keep: A further file that must not be overwritten.
        views: How many results each image has; several go to folders of their own.

    Returns:
        The jobs in a fixed order, and the folders that cannot be listed.

    Raises:
        ConfigError: Two inputs have the same target, or a target is an input.
        DataError: There is no image.
    """
    failures: list[Failure] = []
    jobs: dict[Path, Job] = {}
    for source, inside in _images(inputs, out, failures):
        name = inside.with_suffix("") if inside.suffix.lower() in IMAGE_SUFFIXES else inside
        folders = [out] if views == 1 else [out / f"view-{number}" for number in range(1, views + 1)]
        job = Job(source, tuple(folder / f"{name}{suffix}" for folder in folders))
        other = jobs.setdefault(job.targets[0], job)
        if other is not job and _identity(other.source) != _identity(source):
            raise ConfigError(
                f"{other.source} and {source} would both be written to {job.targets[0]}. Rename one of them, "
                "put a prompt on them in two calls with different --out, or give the folder that holds both."
            )
    if not jobs:
        reasons = "".join(f" {failure.path}: {failure.reason}." for failure in failures)
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"no image in {', '.join(map(str, inputs))}.{reasons} In a folder, these are read: {known}.")
    protected = {_identity(path) for path in (keep, *(job.source for job in jobs.values()))} - {None}
    for target in (target for job in jobs.values() for target in job.targets):
        if _identity(target) in protected:
            raise ConfigError(f"{target} is an input and would be overwritten. Choose another folder with --out.")
    return list(jobs.values()), failures


def put_prompt(
    prompt: Pages, jobs: Iterable[Job], encode: Callable[[Pixels], bytes], workers: int
) -> Iterator[tuple[Job, str | None]]:
    """Works through the jobs on several threads and yields them in order.

    Args:
        prompt: What is laid on every image.
        jobs: What to read and where to write.
        encode: Prompted canvas, (H, W, 3) uint8 -> the bytes of a file.
        workers: How many images are worked on at a time.

    Yields:
        Each job with None, or with the reason why its image cannot be read.

    Raises:
        PixpromptError: A result cannot be written; no further job is begun.
    """
    waiting: deque[tuple[Job, Future[str | None]]] = deque()
    pool, room = ThreadPoolExecutor(workers), PixelRoom(MAX_PIXELS)
    try:
        for job in jobs:
            waiting.append((job, pool.submit(_work, prompt, job, encode, room)))
            if len(waiting) >= 8 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        # On an error or Ctrl-C: the images at work are finished, the others are not begun.
        pool.shutdown(wait=True, cancel_futures=True)


class PixelRoom:
    """Bounds the pixels that all threads decode at the same time; one image alone may always be decoded."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used, self._changed = limit, 0, threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of so many pixels."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + pixels <= self._limit)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def _work(prompt: Pages, job: Job, encode: Callable[[Pixels], bytes], room: PixelRoom) -> str | None:
    try:
        canvases = _canvases(prompt, partial(decode, job.source), room)
    except ImageError as error:
        return str(error).removeprefix(f"{job.source}: ")
    for (page, canvas), target in zip(canvases, job.targets, strict=True):
        content = encode(page.overlay(canvas))
        make_folder(target.parent)
        write_bytes(target, content, durable=False)
    return None


def _images(inputs: Iterable[Path], out: Path, failures: list[Failure]) -> Iterator[tuple[Path, Path]]:
    def refuse(error: OSError) -> None:
        failures.append(Failure(Path(error.filename), error.strerror or str(error)))

    for path in inputs:
        if path.is_dir():
            yield from ((source, source.relative_to(path)) for source in walk(path, on_error=refuse, skip=out))
        else:
            yield path, Path(path.name)


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells whether two paths are one file, links included; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[], object], Callable[[str], object]]]:
    """Gives (step, say): count one image, print one line on stderr; with a bar only on a terminal."""
    if not sys.stderr.isatty():
        yield (lambda: None), partial(echo, err=True)
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="image", file=sys.stderr) as bar:
        yield bar.update, lambda text: tqdm.write(printable(text), file=sys.stderr)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
