"""Views of every kind, drawn by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from pixprompt.canvas import FILTERS, Tone
from pixprompt.views import PATTERNS, Patch, Pattern, View


def _between(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False)


colors = st.tuples(*3 * [st.integers(0, 255)])
patterns = st.builds(
    Pattern,
    color=colors,
    kind=st.sampled_from(PATTERNS),
    second=colors,
    period=st.integers(1, 9),
    seed=st.integers(0, 99),
)
tones = st.builds(Tone, gamma=_between(0.1, 10), contrast=_between(0.05, 20), invert=st.booleans())
patches = st.builds(Patch, size=_between(1 / 64, 0.3), x=_between(0, 1), y=_between(0, 1), pattern=patterns)
views = st.builds(
    View,
    size=st.one_of(st.just(1.0), _between(0.4, 1.5)),
    x=_between(0, 1),
    y=_between(0, 1),
    zoom=st.one_of(st.none(), _between(1, 8)),
    flip=st.booleans(),
    rotation=st.one_of(st.sampled_from([0.0, 90.0, -90.0, 180.0]), _between(-180, 180)),
    resample=st.one_of(st.none(), st.sampled_from(sorted(FILTERS))),
    tone=st.one_of(st.just(Tone()), tones),
    frame=st.one_of(st.none(), patterns),
    patch=st.one_of(st.none(), patches),
)
