"""How far a data set is from what a model knows, how diverse it is, and what that says before queries are spent.

`features` holds what networks see in images; `statistics`, `frechet`, `kernels` and `coverage` are the numbers,
`bootstrap` says how far to trust them, `measure` puts them together. `gain` and `advice` turn numbers into a verdict;
they need no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .distances import cmmd as cmmd, fid as fid, kid as kid, lpips_diversity as lpips_diversity
    from .features.extract import Extractor as Extractor, model_answers as model_answers, open_clip as open_clip
    from .features.lpips import LPIPS as LPIPS, load_lpips as load_lpips

__all__, __getattr__, __dir__ = lazy_names(__name__)
