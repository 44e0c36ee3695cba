"""`pixprompt apply`: a prompt on image files and folders. No torch import, and no import that is not needed."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from ...bulk.jobs import Failure, Job, Jobs, find_jobs
from ...bulk.prompter import Prompter, check_written
from ...canvas.encoding import JPEG_QUALITY, encode_jpeg, encode_png
from ...core import ImageError, PromptError
from ...files import make_folder
from ...prompt import Pages, load_committee
from ...sharing import prompt_path
from ...stores import Location
from ..options import json_option, print_json, ray_option
from ..terminal import echo, json_line, printable
from .locations import LocationType
from .pipes import PIPE, Record, read_records, reads_pipe

__all__ = ["apply"]


@click.command
@click.argument("prompt_file", metavar="PROMPT.png|RUN|hf:OWNER/NAME")
@click.argument(
    "inputs", nargs=-1, required=True, type=LocationType(exists=True, readable=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--out",
    required=True,
    type=LocationType(file_okay=False, allow_dash=True, path_type=Path),
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
@click.option("--resume", is_flag=True, help="Leave out images whose results an earlier call has written to --out.")
@ray_option
@json_option
@click.pass_context
def apply(
    context: click.Context,
    prompt_file: str,
    inputs: tuple[Location, ...],
    out: Location,
    file_format: str,
    quality: int | None,
    workers: int | None,
    resume: bool,
    ray: str | None,
    as_json: bool,
) -> None:
    """Put PROMPT.png, or the prompt of a run, on images: files, and folders with all that is below them.

    An image of any size and mode becomes the canvas that the prompt was made for, the prompt is laid on it, and the
    result is written below --out, at the image's path inside its folder; a prompt of several views writes one image for
    each, below --out/view-1, --out/view-2 and so on. An image that cannot be read is named on
    stderr and left out; the exit code is then 1. Inside folders, hidden files and other files than images are
    passed over. Images and --out may lie in a store that fsspec reaches: s3://, gs://, hf:// and others.

    With - as the only input and --out -, an image on stdin goes to stdout; or JSON lines do, each with a "path" or an
    "image" in base64. Their results come in order, as "image" (of several views "images"), or as "error".
    """
    if quality is not None and file_format != "jpeg":
        raise click.UsageError("--quality goes with --format jpeg; a PNG keeps every pixel.")
    piped = _is_piped(inputs, out, as_json)
    prompt = _load(prompt_file)
    encode = encode_png if file_format == "png" else partial(encode_jpeg, quality=quality or JPEG_QUALITY)
    prompter, workers = Prompter(prompt, encode), workers or _cores()
    if piped:
        context.exit(_apply_to_pipe(prompter, workers))
    suffix = ".png" if file_format == "png" else ".jpg"
    jobs = find_jobs(inputs, out, suffix, keep=prompt_path(prompt_file), views=len(prompt.pages))
    if isinstance(out, Path):
        make_folder(out)
    if resume:
        _leave_out_finished(jobs, prompter)
    start = time.perf_counter()
    num_written = _work_all(prompter, jobs, workers, ray)
    _report(jobs, num_written, time.perf_counter() - start, as_json=as_json)
    if jobs.failures:
        click.echo(f"{len(jobs.failures)} could not be read", err=True)
        context.exit(1)


def _work_all(prompter: Prompter, jobs: Jobs, workers: int, ray: str | None) -> int:
    """Returns how many images were written; the others are among the failures of the jobs."""
    num_written = 0
    with _progress(len(jobs)) as (step, say):
        for failure in jobs.failures:
            say(f"cannot read {failure.path}: {failure.reason}")
        try:
            for job, reason in _done(prompter, jobs, workers, ray):
                step()
                if reason is None:
                    num_written += 1
                else:
                    jobs.failures.append(Failure(job.source, reason))
                    say(f"cannot read {job.source}: {reason}")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted: {num_written} of {len(jobs)} images written to {jobs.out}") from None
    return num_written


def _done(prompter: Prompter, jobs: Jobs, workers: int, ray: str | None) -> Iterator[tuple[Job, str | None]]:
    if ray is None:
        return prompter.work_all(jobs, workers)
    from ...bulk.cluster import work_all

    return work_all(prompter, jobs, ray)


def _leave_out_finished(jobs: Jobs, prompter: Prompter) -> None:
    """Leaves out what an earlier call has written, once one of its images shows that it was the same prompt."""
    jobs.leave_out_finished()
    for job in jobs.all():
        if jobs.is_finished(job):
            check_written(prompter, job)
            return


def _is_piped(inputs: tuple[Location, ...], out: Location, as_json: bool) -> bool:
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


def _apply_to_pipe(prompter: Prompter, workers: int) -> int:
    """Prompts what comes on stdin, and returns the exit code.

    Raises:
        ImageError: It is no image, nor JSON lines.
        PromptError: One image would become several.
    """
    failed, stdout = 0, sys.stdout.buffer
    with ThreadPoolExecutor(workers) as pool:
        for records in read_records(4 * workers):
            for content, whole in pool.map(partial(_work_on_record, prompter), records):
                failed += not whole
                stdout.write(content)
            stdout.flush()
    return 1 if failed else 0


def _work_on_record(prompter: Prompter, record: Record) -> tuple[bytes, bool]:
    """Returns what goes to stdout, and whether it is an image; see `_apply_to_pipe`."""
    try:
        pages = prompter.contents(record.open)
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


def _report(jobs: Jobs, num_written: int, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "written": num_written,
                "skipped": jobs.num_finished,
                "views": jobs.views,
                "failed": [{"path": str(failure.path), "reason": failure.reason} for failure in jobs.failures],
                "out": str(jobs.out),
                "seconds": round(seconds, 3),
                "images_per_second": round(num_written / seconds, 1),
            }
        )
        return
    each = f", each under {jobs.views} views," if jobs.views > 1 else ""
    click.echo(
        f"{num_written} images{each} written to {jobs.out} in {seconds:.1f} s ({num_written / seconds:.0f} images/s)"
    )
    if jobs.num_finished:
        click.echo(f"{jobs.num_finished} were there already")


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
    return load_per_image(path, device="cpu", alone=True)


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
