"""The search for views and committees: a race on answers, paired evidence, the price of a prediction."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .bill import Price as Price
    from .cascade import (
        Cascade as Cascade,
        cascade_curve as cascade_curve,
        choose_cascade as choose_cascade,
    )
    from .evidence import (
        Comparison as Comparison,
        compare as compare,
        detectable_gain as detectable_gain,
        power as power,
    )
    from .pool import AnswerPool as AnswerPool
    from .race import PLAIN as PLAIN, Race as Race, Rung as Rung, Winner as Winner
    from .readout import (
        Readout as Readout,
        kernel_of as kernel_of,
        leave_one_out as leave_one_out,
        predict as predict,
    )
    from .selection import Path as Path, cross_fit as cross_fit, forward_selection as forward_selection
    from .vocabulary import (
        COMMON_NOUNS as COMMON_NOUNS,
        read_vocabulary as read_vocabulary,
        widened_labels as widened_labels,
    )

__all__, __getattr__, __dir__ = lazy_names(__name__)
