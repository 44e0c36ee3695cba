"""Adapters: what is fitted and evaluated. `METHODS` costs no import of torch; the other names import it when used."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names
from .methods import (
    ADAPTER_FILE as ADAPTER_FILE,
    METHODS as METHODS,
    Grid as Grid,
    Learning as Learning,
    Method as Method,
    MethodSettings as MethodSettings,
    register as register,
)

if TYPE_CHECKING:
    from .bar import BarPrompter as BarPrompter
    from .clip import OnEmbeddings as OnEmbeddings
    from .coordinator import Coordinator as Coordinator, CoordinatorSpec as CoordinatorSpec
    from .pixel import PixelPrompt as PixelPrompt
    from .pixel_prompts.clusters import ClusterPrompts as ClusterPrompts
    from .pixel_prompts.ensemble import PromptEnsemble as PromptEnsemble
    from .sa2vp import SA2VP as SA2VP, make_sa2vp as make_sa2vp
    from .sa2vp.attention import aligned_attention as aligned_attention
    from .saving import (
        AdapterFile as AdapterFile,
        load_adapter as load_adapter,
        save_adapter as save_adapter,
    )
    from .search import InBasis as InBasis, Prompter as Prompter
    from .vpt import ViTVPT as ViTVPT, make_vpt as make_vpt
    from .whitebox import Supervised as Supervised, WhiteBox as WhiteBox, make_white_box as make_white_box

__all__, __getattr__, __dir__ = lazy_names(__name__)
