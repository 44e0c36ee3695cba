"""The search for views and committees: a race on answers, paired evidence, the price of a prediction."""

from .bill import Price, choose_size
from .cascade import Cascade, cascade_curve, choose_cascade
from .evidence import Comparison, compare, detectable_gain, images_for, power
from .pool import AnswerPool
from .race import PLAIN, Race, Rung, Winner
from .readout import Readout, kernel_of, leave_one_out
from .selection import Path, cross_fit, forward_selection
from .vocabulary import COMMON_NOUNS, read_vocabulary, widened_labels

__all__ = [
    "COMMON_NOUNS",
    "PLAIN",
    "AnswerPool",
    "Cascade",
    "Comparison",
    "Path",
    "Price",
    "Race",
    "Readout",
    "Rung",
    "Winner",
    "cascade_curve",
    "choose_cascade",
    "choose_size",
    "compare",
    "cross_fit",
    "detectable_gain",
    "forward_selection",
    "images_for",
    "kernel_of",
    "leave_one_out",
    "power",
    "read_vocabulary",
    "widened_labels",
]
