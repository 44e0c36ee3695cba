"""The registry: what a name gives, and what a wrong name says."""

from __future__ import annotations

import pytest

from pixprompt.core import ConfigError, PixpromptError, UnknownName
from pixprompt.registry import Registry, suggest


@pytest.fixture
def shapes() -> Registry[type]:
    registry: Registry[type] = Registry("shape")

    @registry.register("square")
    class Square:
        """Four equal sides.

        More about it.
        """

    @registry.register("circle", "Round.")
    class Circle:
        """Not this line."""

    return registry


def test_names_are_sorted_and_described(shapes: Registry[type]) -> None:
    assert list(shapes) == ["circle", "square"]
    assert list(shapes.describe().items()) == [("circle", "Round."), ("square", "Four equal sides.")]
    assert len(shapes) == 2
    assert "circle" in shapes
    assert "triangle" not in shapes
    assert 3 not in shapes


def test_register_returns_the_thing_itself(shapes: Registry[type]) -> None:
    class Dot:
        pass

    assert shapes.register("dot")(Dot) is Dot
    assert shapes["dot"] is Dot
    assert shapes.describe()["dot"] == ""


def test_a_misspelt_name_is_answered_with_the_close_one_and_all_known(shapes: Registry[type]) -> None:
    with pytest.raises(UnknownName) as error:
        shapes["sqare"]
    assert str(error.value) == "unknown shape 'sqare'. Did you mean 'square'? Known: circle, square."
    assert isinstance(error.value, (ConfigError, KeyError))
    assert isinstance(error.value, PixpromptError)


def test_no_suggestion_where_nothing_is_close(shapes: Registry[type]) -> None:
    with pytest.raises(UnknownName) as error:
        shapes["zzz"]
    assert "mean" not in str(error.value)
    assert suggest("zzz", shapes) == ""


def test_a_taken_name_is_refused_and_the_first_stays(shapes: Registry[type]) -> None:
    first = shapes["circle"]
    with pytest.raises(ConfigError, match="'circle' is registered twice"):
        shapes.register("circle")(int)
    assert shapes["circle"] is first


def test_an_entry_by_its_place_is_described_at_once_and_imported_when_used() -> None:
    registry: Registry[type] = Registry(
        "number", {"exact": ("fractions:Fraction", "A ratio."), "no": ("no_such:x", "-")}
    )
    assert registry.describe() == {"exact": "A ratio.", "no": "-"}
    assert registry["exact"](1, 2) == 0.5
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        registry["no"]
