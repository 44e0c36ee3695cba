"""One segmentation run: from a configuration to a run directory with an adapter and a result."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..backbones.origin import backbone_sha256
from ..core import ConfigError, PixpromptError
from ..engine.answers import reproducible
from ..engine.fit.gradients.epochs import Best, Fit, fit
from ..engine.inputs.devices import pick_autocast, pick_device
from ..engine.inputs.trust import check_trusted, trust_named
from ..engine.progress import Reporter, Silent
from ..engine.result import peak_memory_mb
from ..engine.run_folder import RunFolder, identity
from ..files import read_json
from ..models import TorchModel, load_model
from ..seeds import stream
from ..version import __version__
from .adapter_file import SavedSegmenter, load_segmenter, save_segmenter
from .ade20k import LabeledImages, SegmentationData, load_segmentation
from .backbone import open_vit
from .config import SegmentConfig, run_config
from .fitting import SegmenterFit
from .inference import SCALES, Windows, count_confusion
from .pictures import draw_curves
from .segmenter import Design, Segmenter

__all__ = ["evaluate", "make_windows", "train"]


@dataclass(frozen=True)
class _Parts:
    """The parts of a run.

    Attributes:
        identity: Digest of what the numbers depend on.
        model: The backbone, as it came.
        digest: Of its weights.
    """

    work: SegmenterFit
    identity: str
    data: SegmentationData
    model: TorchModel
    digest: str


def train(
    config: SegmentConfig, *, out: str | Path, resume: bool = False, reporter: Reporter | None = None
) -> dict[str, Any]:
    """Learns a segmenter and writes the run directory.

    The epoch that validates best counts; the test images are scored once, at the end.

    Args:
        out: The run directory; new or empty, unless resuming.
        resume: Continue the run in `out` as it was configured, to the numbers of a run never stopped.

    Returns:
        The result object, as `result.json` holds it.

    Raises:
        AccessError: The model cannot be reached into.
        ConfigError: The settings do not go together, or `out` already holds a run.
        DataError: An image or an annotation cannot be used.
    """
    folder, reporter, began = RunFolder.open(out, resume=resume), reporter or Silent(), time.perf_counter()
    if resume:
        config = run_config(folder.path)
        check_trusted(asdict(config), folder.path)
        if folder.result.exists():
            reporter.note(f"{folder.path} is finished; this is its result.")
            return _result(folder.result)
    for name in ("model", "data"):
        if not getattr(config, name):
            raise ConfigError(f"--{name} is missing.")
    config = config.with_absolute_paths()
    with reproducible(), folder:
        parts = _build(config, reporter)
        if not resume:
            trust_named(asdict(config))
        folder.claim(config.to_json())

        def on_epoch(done: Fit) -> None:
            folder.write_history(done.history)
            reporter.epoch(done.history[-1])

        fitting = time.perf_counter()
        path = folder.checkpoint("state.safetensors")
        done = fit(parts.work, epochs=config.epochs, checkpoint=path, identity=parts.identity, on_epoch=on_epoch)
        began += time.perf_counter() - fitting - done.seconds  # the epochs of earlier sessions count, too
        return _finish(folder, parts, done, began)


def _build(config: SegmentConfig, reporter: Reporter) -> _Parts:
    device = pick_device(config.device)
    data = load_segmentation(
        config.data, reduce_zero_label=config.reduce_zero_label, val_images=config.val_images, seed=config.seed
    )
    view = open_vit(load_model(config.model, weights=config.weights, device=device))
    crop = view.model.spec.image_size if config.crop is None else (config.crop, config.crop)
    design = Design(len(data.classes), crop, config.method, config.tokens, config.channels, config.auxiliary)
    segmenter = Segmenter(view.model, design, generator=stream(config.seed, "init"))
    digest = backbone_sha256(view.model, view.parameters())
    work = SegmenterFit(
        module=segmenter,
        train=data.train,
        val=data.val,
        config=config,
        device=device,
        autocast=pick_autocast(config.precision, device),
        reporter=reporter,
    )
    return _Parts(work, _identity(data, digest), data, view.model, digest)


def _identity(data: SegmentationData, backbone: str) -> str:
    splits = [[(path.name, _size(path)) for path in (*part.images, *part.annotations)]
              for part in (data.train, data.val, data.test)]  # fmt: skip
    return identity(backbone=backbone, classes=data.classes, images=splits)


def _finish(folder: RunFolder, parts: _Parts, done: Fit, began: float) -> dict[str, Any]:
    work, data = parts.work, parts.data
    config, segmenter = work.config, work.module
    best = done.best or Best(0, (), {}, segmenter.state_dict())
    segmenter.load_state_dict(best.state)
    folder.write_history(done.history)  # once more: a kill between a checkpoint and its line must not lose the line
    draw_curves(folder.path / "curves.png", done.history)
    segmenter.eval()
    saved = SavedSegmenter(segmenter, data.classes, config.reduce_zero_label, config.model)
    save_segmenter(folder.path / "adapter.safetensors", saved, backbone=parts.digest, weights=config.weights)
    # The file is what is scored, so that its numbers are those that are reported.
    saved = load_segmenter(folder.path, device=work.device, net=parts.model)
    test = _scores(saved, data.test, work.device, config.multi_scale, work.reporter)
    tuned = segmenter.num_inner + segmenter.num_head
    result = {
        "schema": 1,
        "pixprompt_version": __version__,
        "task": "segmentation",
        "method": config.method,
        "model": config.model,
        "data": config.data,
        "classes": list(data.classes),
        "counts": {"train": len(data.train), "val": len(data.val), "test": len(data.test)},
        "parameters": {
            "tuned": tuned,
            "head": segmenter.num_head,
            "inner": segmenter.num_inner,
            "backbone": segmenter.num_backbone,
            "share": tuned / segmenter.num_backbone,
        },
        "seed": config.seed,
        "best": {"epoch": best.epoch, **best.scores},
        "test": test,
        "train_images_per_second": len(data.train) * done.epoch / max(done.train_seconds, 1e-9),
        "seconds": round(time.perf_counter() - began, 2),
        "peak_memory_mb": round(peak_memory_mb(work.device), 1),
    }
    folder.write_result(result)
    return result


def evaluate(
    run: str | Path,
    *,
    data: str | None = None,
    model: str | None = None,
    weights: str | None = None,
    multi_scale: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Scores a saved segmenter on the validation images of a data set, which nothing was selected on.

    Args:
        data: Instead of the run's own, with as many classes.
        model: Instead of the run's own backbone, which must have the same weights.
        weights: Instead of the run's own weights file.
        multi_scale: With several scales and mirrored, too.
    """
    folder, device = Path(run), pick_device(device)
    config = run_config(folder)
    saved = load_segmenter(folder, model=model, weights=weights, device=device)
    name = data or config.data
    images = load_segmentation(
        name, reduce_zero_label=saved.reduce_zero_label, val_images=config.val_images if data is None else 1
    )
    if len(images.classes) != len(saved.classes):
        raise ConfigError(f"{folder} knows {len(saved.classes)} classes, {name} has {len(images.classes)}.")
    with reproducible():
        test = _scores(saved, images.test, device, multi_scale, reporter or Silent())
    facts = {"schema": 1, "pixprompt_version": __version__, "task": "segmentation", "model": saved.model, "data": name}
    return {**facts, "classes": list(saved.classes), "counts": {"test": len(images.test)}, "test": test}


def make_windows(saved: SavedSegmenter, device: str, *, multi_scale: bool = False) -> Windows:
    """Returns what labels whole images: at one scale, or at several and mirrored, too."""
    segmenter = saved.segmenter
    scales = SCALES if multi_scale else (1.0,)
    return Windows(segmenter, segmenter.design.crop, segmenter.fill, device, scales, mirror=multi_scale)


def _scores(
    saved: SavedSegmenter, images: LabeledImages, device: str, multi_scale: bool, reporter: Reporter
) -> dict[str, Any]:
    scores: dict[str, Any] = {"single_scale": None, "multi_scale": None}
    for name, several in (("single_scale", False), ("multi_scale", True)):
        if several <= multi_scale:
            reporter.stage(f"test, {name.replace('_', ' ')}", len(images))
            windows = make_windows(saved, device, multi_scale=several)
            scores[name] = count_confusion(windows, images, reporter=reporter).to_json()
    return scores


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a broken link: reading it reports the reason
        return -1


def _result(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
        if values["schema"] != 1 or values["task"] != "segmentation":
            raise KeyError("schema 1, task segmentation")
        return dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PixpromptError(f"{path} is damaged ({error}). Delete it to score the run again.") from error
