"""Learning by gradients: a pixel prompt through the model, or an adapter inside it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ...adapters import ClusterPrompts, PixelPrompt, PromptEnsemble, WhiteBox, save_adapter
from ...core import ConfigError
from ...models import DirectQuerier
from ...outputs import LinearForm
from ...prompt import Committee, Prompt
from ...seeds import stream
from ..answers import Answered
from ..baseline import Baseline, measure_baseline
from ..config.grids import grids
from ..config.presets import query_budget
from ..fit.gradients.adapter_fit import fit_adapter, new_adapter, new_prompt
from ..fit.gradients.augmentation import augmentation
from ..fit.gradients.epochs import Fit
from ..fit.gradients.gradient import validated
from ..fit.gradients.inputs import Images, TrainInputs, inputs_of
from ..parts import Parts
from ..progress import Reporter
from ..ranks import shared_counts
from ..run_folder import RunFolder, identity
from ..saved.prompt_png import origin_of
from ..session import Session
from .learned import Learned, Learner, Solution

__all__ = ["ByGradients", "white_box_solution"]


class ByGradients(Learner[DirectQuerier, Baseline]):
    """Epochs over the training images, of which the one that validates best counts."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        config, self.output = parts.config, parts.output()
        self.adapter: PixelPrompt | WhiteBox
        self.adapter = new_adapter(parts, config.seed) if config.method.white_box else new_prompt(parts, self.output)
        self._check_budget()

    @property
    def num_params(self) -> int:
        """See `Learner`."""
        adapter = self.adapter
        if isinstance(adapter, WhiteBox):
            return adapter.num_learned(len(self.parts.data.train))
        return sum(parameter.numel() for parameter in adapter.parameters())

    def queries(self) -> dict[str, int]:
        """See `Learner`."""
        parts, fit, data = self.parts, self.parts.config.fit, self.parts.data
        train, val, epochs = len(data.train), len(data.val), fit.epochs or 0
        test = len(self.tested(parts.config.search.test_images).test)
        if isinstance(self.adapter, PixelPrompt):
            price = self.adapter.queries_per_image
            reread = 0 if parts.config.method.per_image else test if self.adapter.views > 1 else val + test
            return {
                "no_prompt": train + val + test,
                "first_prompt": price * train if self.output.fits and not self._starts_plain else 0,
                "training": price * epochs * train,
                "refits": price * epochs * train if isinstance(self.output, LinearForm) else 0,
                "selection": price * epochs * val,
                "prompt_float": price * (val + test),
                "prompt_png": price * reread,
            }
        # At most: what the frozen part makes of an image is cached where it fits into memory.
        rates, decays = grids(parts.config) if fit.grid_search else ((0.0,), (0.0,))
        rounds = 1 if not isinstance(self.adapter, WhiteBox) or self.adapter.pruned is None else 2
        passes = (fit.search_trials or len(rates) * len(decays)) * epochs * rounds
        final = fit.seeds * epochs * rounds * (train + val) if fit.grid_search else 0
        return {
            "no_prompt": train + val + test,
            "training": passes * train + final,
            "selection": passes * val,
            "adapter": fit.seeds * test + (0 if fit.grid_search else val),
        }

    def _check_budget(self) -> None:
        """Makes sure that the run, whose queries are known beforehand, stays within its budget, if it has one."""
        search = self.parts.config.search
        if search.budget is None and search.max_cost is None:
            return
        needed, allowed = sum(self.queries().values()), query_budget(self.parts.config)
        if needed > allowed:
            raise ConfigError(
                f"learning by gradients as configured asks {needed} queries, the budget is {allowed}. Leave out "
                "--optimizer to learn from answers within it, or take fewer --epochs or --shots."
            )

    def open(self, folder: RunFolder, reporter: Reporter) -> Session[DirectQuerier]:
        """See `Learner`."""
        data = self.tested(self.parts.config.search.test_images)
        session = Session(replace(self.parts, data=data), folder, reporter, self.parts.counted)
        for split in ("train", "val", "test") if len(data.test) else ("train", "val"):
            for canvas in (self.parts.plain, self.parts.canvas):  # what cannot be read shows before hours of training
                session.canvases(split, canvas)
        return session.readable()

    def measure_baseline(self, session: Session[DirectQuerier]) -> Baseline:
        """See `Learner`."""
        parts, data, output = self.parts, self.parts.data, self.output
        splits = [session.canvases(name, parts.plain) for name in ("train", "val")]
        facts = identity(
            method=parts.config.method.name,
            model=[parts.spec.name, parts.spec.num_outputs, parts.weights_sha256],
            classes=data.classes,
            output=output.kind if output.fits else output.to_json(),
            canvases=[parts.plain.to_json(), parts.canvas.to_json()],
            images=[(split.names, split.labels.tolist()) for split in splits],
            test=(data.test.names, data.test.labels.tolist()),
        )
        return measure_baseline(session, output, facts)

    def learn(self, session: Session[DirectQuerier], baseline: Baseline) -> Learned:
        """See `Learner`."""
        path, began = session.folder.checkpoint("state.safetensors"), time.perf_counter()
        answers = self._first_answers(session, baseline, path)
        train, val = (self._inputs(session, split) for split in ("train", "val"))
        state = fit_adapter(
            self.parts, self.parts.config, self.adapter, train, val, session.reporter,
            checkpoint=path, folder=session.folder, answers=answers,
            start=validated(baseline.fallback, baseline.val) if answers is not None and self._starts_plain else None,
        )  # fmt: skip
        if isinstance(self.adapter, PixelPrompt) and state.best is not None and state.best.epoch == 0:
            self.adapter.output = baseline.fallback.to(self.parts.device)
        earlier = max(0.0, state.seconds - (time.perf_counter() - began))
        solution = self._solution(session, val, trained=state.best is not None)
        return self.learned(state, solution, len(train.labels), len(val.labels), earlier)

    def learned(self, state: Fit, solution: Solution | None, num_train: int, num_val: int, earlier: float) -> Learned:
        """Returns what a fit has learned, with its counts."""
        notes, facts, adapter = [], {}, self.adapter
        if isinstance(adapter, WhiteBox):
            notes = [f"{adapter.num_tuned} parameters, {adapter.share:.2%} of the backbone's {adapter.num_backbone}."]
            stored = sum(tensor.numel() for tensor in adapter.state_dict().values())
            counts = {"tuned": adapter.num_tuned, "stored": stored, "backbone": adapter.num_backbone}
            facts = {"adapter": {**counts, "share": adapter.share}}
        speed = state.epoch * num_train / state.train_seconds if state.train_seconds else 0.0
        return Learned(solution, self.num_params, num_train, num_val, state.history, notes, speed, earlier, facts)

    def _first_answers(self, session: Session[DirectQuerier], baseline: Baseline, checkpoint: Path) -> Answered | None:
        """Fits the output transform of a pixel prompt to the first prompt's answers, and returns those of a head.

        A resumed run has later ones in its checkpoint.
        """
        adapter, first = self.adapter, baseline.train
        if not isinstance(adapter, PixelPrompt):
            return None
        if isinstance(adapter, ClusterPrompts) and not checkpoint.exists():
            generator = stream(self.parts.config.seed, "clusters")
            adapter.find_clusters(baseline.train.complete.outputs, generator=generator)
        if adapter.views == 1:
            known = baseline.fallback.kind == self.output.kind
            adapter.output = baseline.fallback if known else self.output.refit(first.outputs, first.labels)
        if adapter.output.fits and not self._starts_plain and not checkpoint.exists():
            session.reporter.stage("first mapping", len(first.labels))
            first = session.query("train", self.parts.canvas, outputs=adapter.outputs)
            adapter.output = adapter.output.refit(first.outputs, first.labels)
        adapter.output = adapter.output.to(self.parts.device)
        return first if isinstance(adapter.output, LinearForm) else None

    @property
    def _starts_plain(self) -> bool:
        return self.parts.starts_plain and isinstance(self.adapter, PixelPrompt) and self.adapter.blank_start

    def _inputs(self, session: Session[DirectQuerier], split: str) -> TrainInputs:
        parts, adapter = self.parts, self.adapter
        canvas = parts.canvas if isinstance(adapter, PixelPrompt) else parts.plain
        canvases = session.canvases(split, canvas)
        augment = augmentation(parts.config.fit.augment if split == "train" else None, canvas)
        if isinstance(adapter, PixelPrompt):
            return Images(adapter, canvases, parts.device, augment=augment)
        with shared_counts(parts.counted):
            return inputs_of(
                adapter, canvases, parts.device,
                on_images=parts.counted.count, reporter=session.reporter, augment=augment,
            )  # fmt: skip

    def _solution(self, session: Session[DirectQuerier], val: TrainInputs, *, trained: bool) -> Solution | None:
        if isinstance(self.adapter, WhiteBox):
            session.reporter.stage("score val", len(val.labels))
            with shared_counts(self.parts.counted):
                return white_box_solution(self.parts, self.adapter, val.answered(session.reporter))
        return pixel_solution(session, self.adapter) if trained else None


def pixel_solution(session: Session[DirectQuerier], adapter: PixelPrompt) -> Solution:
    """Returns a pixel prompt as trained.

    What a PNG is to hold has float pixels, not rounded to 8 bits (in normalised space not clamped).
    """
    parts, per_image = session.parts, session.parts.config.method.per_image
    prompt: Prompt | Committee | None = None
    if isinstance(adapter, PromptEnsemble):
        prompt = adapter.to_committee(parts.canvas, **origin_of(parts))
    elif not per_image:
        prompt = adapter.to_prompt(parts.canvas, **origin_of(parts))
    exact = adapter.space == "pixel" and isinstance(prompt, Prompt) and prompt.canvas == parts.canvas

    def outputs(images: Tensor) -> Tensor:
        return adapter.outputs(images, quantize=per_image)

    session.reporter.stage("score val", len(session.canvases("val", parts.canvas).labels))
    return Solution(
        canvas=parts.canvas,
        output=adapter.output,
        val=session.query("val", parts.canvas, outputs=outputs),
        prompted=adapter.prompted if exact else None,
        outputs=outputs,
        prompt=prompt,
        write=(lambda path: _write(path, adapter, parts)) if per_image else None,
    )


def _write(path: Path, adapter: PixelPrompt, parts: Parts) -> None:
    """Writes an adapter, and of several prompts each as a PNG beside it."""
    save_adapter(path, adapter, **parts.facts())
    if isinstance(adapter, ClusterPrompts):
        for number, prompt in enumerate(adapter.to_prompts(parts.canvas, **origin_of(parts)), 1):
            prompt.save(path.with_name(f"cluster-{number}.png"))


def white_box_solution(parts: Parts, adapter: WhiteBox, val: Answered | None) -> Solution:
    """Returns an adapter inside the model as trained."""

    def outputs(images: Tensor) -> Tensor:
        parts.counted.count(len(images))
        return adapter.outputs(images)

    return Solution(
        canvas=parts.plain,
        output=adapter.output,
        val=val,
        outputs=outputs,
        write=lambda path: save_adapter(path, adapter, **parts.facts()),
        is_better=True,
        name="adapter",
    )
