"""Benchmarks: tables and figures of papers as small files, run cell by cell, with published numbers beside."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .benchmark import Benchmark as Benchmark
    from .catalogue import benchmark_names as benchmark_names, read_benchmark as read_benchmark
    from .run import BenchResult as BenchResult, bench as bench, runs_of as runs_of
    from .runs import Run as Run, machine as machine

__all__, __getattr__, __dir__ = lazy_names(__name__)
