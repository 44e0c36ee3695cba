"""How far a data set is from what a model knows, how diverse it is, and what that says before queries are spent.

`features` makes features of images, `feature_store` keeps those of whole sets; `statistics`, `frechet`, `kernels`,
`coverage` and `lpips` are the numbers, `bootstrap` says how far to trust them, `measure` puts them together. `gain`
and `advice` turn numbers into a verdict; they need no torch.
"""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .distances import cmmd, fid, kid, lpips_diversity
    from .features import Extractor, model_answers, open_clip
    from .lpips import LPIPS, load_lpips

__all__ = [
    "LPIPS",
    "Extractor",
    "cmmd",
    "fid",
    "kid",
    "load_lpips",
    "lpips_diversity",
    "model_answers",
    "open_clip",
]

__getattr__ = lazy_names(
    __name__,
    {
        "distances": "cmmd fid kid lpips_diversity",
        "features": "Extractor model_answers open_clip",
        "lpips": "LPIPS load_lpips",
    },
)
