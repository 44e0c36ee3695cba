"""Adapt a vision model that you can only call: learn a visual prompt, save it as a PNG, put it on any image.

Prompts and what loads them need numpy and Pillow only; the other names import torch when they are first used.

By hand: `templates`, `outputs`, `models`, `adapters`, `optimizers`, `data` and `diagnostics` hold the parts; `fit` and
`evaluate` take an adapter and images, and `train` a configuration; `study` repeats runs with one setting varied,
`bench` those of a paper's table or figure, and `segmentation` learns to label pixels. `core` has the protocols and the
errors, `ledger` and `remote` what queries a model. experiments/by-hand shows how, each in under 40 lines.
"""

from typing import TYPE_CHECKING

from .canvas import Canvas as Canvas
from .lazy import lazy_names
from .prompt import (
    Committee as Committee,
    Prompt as Prompt,
    load as load,
    load_committee as load_committee,
)
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import (
        adapters as adapters,
        bench as bench,
        bulk as bulk,
        canvas as canvas,
        cli as cli,
        core as core,
        data as data,
        diagnostics as diagnostics,
        engine as engine,
        export as export,
        intervals as intervals,
        ledger as ledger,
        models as models,
        optimizers as optimizers,
        outputs as outputs,
        plots as plots,
        prompt as prompt,
        remote as remote,
        report as report,
        search as search,
        segmentation as segmentation,
        study as study,
        templates as templates,
        views as views,
    )
    from .adapters import PixelPrompt as PixelPrompt, load_adapter as load_adapter
    from .data import (
        Data as Data,
        from_arrays as from_arrays,
        from_files as from_files,
        load_data as load_data,
    )
    from .data.torch_dataset import CanvasDataset as CanvasDataset
    from .engine import (
        Progress as Progress,
        TrainConfig as TrainConfig,
        deploy as deploy,
        evaluate as evaluate,
        predict as predict,
        to_images as to_images,
        train as train,
    )
    from .engine.by_hand import fit as fit
    from .models import as_model as as_model, load_model as load_model

__all__, __getattr__, __dir__ = lazy_names(__name__)
