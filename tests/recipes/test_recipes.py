"""The recipes in other languages, run where their tools are installed, against what `apply` gives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "experiments/recipes/compare.py"


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipes_compare", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipes_compare"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("language", ["JavaScript", "C++", "shell"])
def test_a_recipe_gives_the_bytes_of_apply(
    language: str, compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIXPROMPT_ASSETS", raising=False)  # the photos are for the table: they take long
    results = [recipe for recipe in compare.recipes(tmp_path) if recipe.name.startswith(language)]
    if not results:
        pytest.skip(f"what the recipe in {language} needs is not installed; see experiments/recipes/README.md")
    for recipe in results:
        differences = compare.compare(recipe, tmp_path)
        kinds = differences if recipe.exact else {"canvas": differences["canvas"]}
        assert {kind: line["largest"] for kind, line in kinds.items()} == dict.fromkeys(kinds, 0), recipe.name
        assert recipe.exact == ("golden" in differences)
