"""Collects the evidence of a report: reads some test images, and lets `query_model` query the model where it may."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from ..core import PixpromptError
from ..engine.progress.report import Reporter
from .evidence import MAX_SHOWN, Evidence, ReportOptions
from .run_files import RunFiles
from .sample import read_sample

__all__ = ["collect_evidence"]

_WHITE_BOX = "what was learned inside a model changes no image; the model is not queried again."


def collect_evidence(run: RunFiles, options: ReportOptions, reporter: Reporter) -> Evidence:
    """Collects what the files of a run do not hold; what cannot be had is named with its reason."""
    if run.white_box:
        return Evidence(skipped={"model": _WHITE_BOX})
    if run.committee is None:
        return Evidence(skipped=dict.fromkeys(("images", "model"), f"prompt.png: {run.missing['prompt.png']}"))
    reason = "no model was queried (--no-model)."
    if len(run.pages) > 1:
        reason = f"a prediction takes up to {len(run.pages)} queries, one under each page; the ladder has the scores."
    elif options.use_model:
        if find_spec("torch") is not None:
            from .query_model import query_model

            return query_model(run, options, reporter)
        reason = "PyTorch is missing: pip install torch."
    try:
        sample = read_sample(run, MAX_SHOWN, None, reporter)
    except PixpromptError as error:
        return Evidence(skipped={"model": reason, "images": f"the images of the run cannot be read: {error}"})
    return Evidence(sample, np.arange(len(sample.labels)), skipped={"model": reason})
