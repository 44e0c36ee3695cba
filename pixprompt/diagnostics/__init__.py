"""How far a data set is from what a model knows, how diverse it is, and what that says before queries are spent.

`features` holds what networks see in images; `moments`, `frechet`, `kernels` and `neighbors` are the numbers,
`bootstrap` says how far to trust them, `measure` puts them together. `gain` and `advice` turn numbers into a verdict;
they need no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .bootstrap import frechet_interval as frechet_interval, mmd_interval as mmd_interval
    from .distances import cmmd as cmmd, fid as fid, kid as kid, lpips_diversity as lpips_diversity
    from .features.extract import (
        Extractor as Extractor,
        inception as inception,
        model_answers as model_answers,
        open_clip as open_clip,
    )
    from .features.feature_store import extract as extract
    from .features.lpips import LPIPS as LPIPS, load_lpips as load_lpips
    from .frechet import (
        FEW as FEW,
        frechet_distance as frechet_distance,
        frechet_from_features as frechet_from_features,
    )
    from .kernels import KID as KID, mmd as mmd, subsets_mmd as subsets_mmd
    from .moments import Statistics as Statistics, statistics as statistics
    from .neighbors import coverage as coverage

__all__, __getattr__, __dir__ = lazy_names(__name__)
