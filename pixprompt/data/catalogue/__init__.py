"""The data sets that have a name, one table entry each. No torch import by itself."""

from __future__ import annotations

from ...registry import Registry
from . import official, papers, vtab
from .data_set import DataSet, data_folder

__all__ = ["BENCHMARKS", "DATASETS", "DataSet", "data_folder"]

DATASETS: Registry[DataSet] = Registry("data set")
for _data in (*official.SETS, *papers.SETS, *vtab.SETS):
    DATASETS.register(_data.name, _data.line)(_data)

BENCHMARKS = {
    "vp": "the twelve sets of the VP paper",
    "wilds": "distribution shift, three sets",
    "fgvc": "fine-grained recognition, five sets in the VPT paper's split",
    "vtab": "VTAB-1k, nineteen tasks",
    "hta": "head tuning adaptation, ten sets in DAM-VP's split",
    "coop": "nine sets in CoOp's split",
    "reference": "reference of the diagnostics",
}
"""Names in `DataSet.papers` -> what they are."""
