"""Index mappings against matrices made by hand, and the mapping file of a user."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pixprompt.core import AnswerKind, ConfigError, ModelSpec
from pixprompt.outputs import make_output
from pixprompt.outputs.mapping import count_answers, match_greedily

LABELS = ("tabby, tabby cat", "beagle", "Chihuahua", "crane", "crane, wading bird", "maillot, tank suit", "maillot")
SPEC = ModelSpec("toy", (8, 8), len(LABELS), AnswerKind.LOGITS, LABELS)


def per_class_argmax(counts: Tensor) -> list[int]:
    """A wrong matching: a source may serve two classes."""
    return counts.argmax(dim=0).tolist()


def flat(groups: list[tuple[int, ...]]) -> list[int]:
    """The sources of classes that have one each."""
    return [source for (source,) in groups]


def step_by_step(counts: Tensor, *, last: bool = False, columns_first: bool = False) -> list[int]:
    """The rule as it is written down, one global maximum after the other; `last` breaks ties the wrong way."""
    counts, results = counts.clone(), {}
    for _ in range(counts.shape[1]):
        cells = (counts == counts.max()).nonzero().tolist()
        cells.sort(key=lambda cell: cell[::-1] if columns_first else cell)
        source, target = cells[-1 if last else 0]
        results[target] = source
        counts[source], counts[:, target] = -1, -1
    return [results[k] for k in range(len(results))]


def test_greedy_matching_by_hand() -> None:
    counts = torch.tensor([[5, 9, 0], [4, 8, 1], [0, 0, 0], [3, 0, 1]])
    before = counts.clone()
    # 9 gives source 0 to class 1, then 4 gives source 1 to class 0, then the 1 of source 3 is all that class 2 has
    assert match_greedily(counts) == [(1,), (0,), (3,)]
    assert torch.equal(counts, before)
    assert per_class_argmax(counts) != flat(match_greedily(counts))


def test_several_sources_for_each_class_by_hand() -> None:
    counts = torch.tensor([[5, 9], [4, 8], [1, 0], [3, 2]])
    # 9 and 8 give sources 0 and 1 to class 1, which then has enough; 3 and 1 are what is left for class 0
    assert match_greedily(counts, 2) == [(3, 2), (0, 1)]
    outputs, labels = torch.eye(7)[torch.tensor([0, 0, 1, 2, 2, 4])], torch.tensor([0, 0, 0, 1, 1, 1])
    fitted = make_output("frequency", classes=("a", "b"), spec=SPEC, sources=2).refit(outputs, labels)
    assert fitted.to_json()["mapping"] == [[0, 1], [2, 4]]
    torch.testing.assert_close(fitted(outputs), torch.stack([outputs[:, :2].mean(1), outputs[:, [2, 4]].mean(1)], 1))
    with pytest.raises(ConfigError, match="3 sources for each of 3 classes"):
        make_output("iterative", classes=("a", "b", "c"), spec=SPEC, sources=3)


def test_greedy_is_not_the_optimal_assignment() -> None:
    assert match_greedily(torch.tensor([[10, 9], [9, 0]])) == [(0,), (1,)]  # 10 + 0, although 9 + 9 is more


def test_ties_go_to_the_lowest_source_then_the_lowest_class() -> None:
    same_class = torch.tensor([[0, 0], [3, 0], [3, 0]])
    assert match_greedily(same_class) == [(1,), (0,)]
    same_source = torch.tensor([[0, 0, 0], [0, 3, 3], [0, 0, 0]])
    assert match_greedily(same_source) == [(0,), (1,), (2,)]
    for counts in (same_class, same_source):
        assert step_by_step(counts, last=True) != flat(match_greedily(counts))


def test_greedy_matching_is_the_rule_step_by_step() -> None:
    generator = torch.Generator().manual_seed(0)
    misled = 0
    for _ in range(50):
        counts = torch.randint(3, (6, 4), generator=generator)
        matched = flat(match_greedily(counts))
        assert matched == step_by_step(counts)
        # Two cells that exclude each other share a row or a column, and both orders agree on which comes first.
        assert matched == step_by_step(counts, columns_first=True)
        misled += matched != step_by_step(counts, last=True)
        assert len(set(matched)) == 4
    assert misled > 40


def test_classes_without_examples_get_the_lowest_unused_sources(caplog: pytest.LogCaptureFixture) -> None:
    outputs = torch.zeros(4, len(LABELS))
    outputs[:2, 0], outputs[2:, 4] = 1, 1
    labels = torch.tensor([2, 2, 0, 0])
    fresh = make_output("frequency", classes=("a", "b", "c", "d"), spec=SPEC)
    with caplog.at_level(logging.WARNING, "pixprompt"):
        fitted = fresh.refit(outputs, labels)
    assert fitted.to_json()["mapping"] == [[4], [1], [0], [2]]
    assert "b, d" in caplog.text


def test_counts_keep_the_column_of_an_absent_class() -> None:
    outputs = torch.tensor([[0.0, 1.0, 1.0], [5.0, 1.0, 1.0], [0.0, 0.0, 9.0]])
    counts = count_answers(outputs, torch.tensor([3, 0, 3]), 5)
    expected = torch.zeros(3, 5, dtype=torch.int64)
    expected[1, 3], expected[0, 0], expected[2, 3] = 1, 1, 1  # the tie of the first row goes to source 1
    assert torch.equal(counts, expected)


def test_fitted_mapping_reads_the_matched_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, labels = torch.randn(50, len(LABELS), generator=generator), torch.arange(50) % 3
    for kind in ("frequency", "iterative"):
        fitted = make_output(kind, classes=("a", "b", "c"), spec=SPEC).refit(outputs, labels)
        sources = [sources[0] for sources in fitted.to_json()["mapping"]]
        assert sources == flat(match_greedily(count_answers(outputs, labels, 3)))
        assert torch.equal(fitted(outputs), outputs[:, sources])


def test_first_k_reads_the_first_outputs() -> None:
    outputs = torch.randn(4, len(LABELS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(make_output("first-k", classes=("a", "b"), spec=SPEC)(outputs), outputs[:, :2])


def test_random_draws_without_replacement_by_its_seed() -> None:
    def draw(seed: int) -> tuple[int, ...]:
        output = make_output("random", classes=[str(k) for k in range(7)], spec=SPEC, seed=seed)
        return tuple(sources[0] for sources in output.to_json()["mapping"])

    torch.manual_seed(1)
    first = draw(0)
    torch.manual_seed(2)
    assert draw(0) == first
    assert sorted(first) == list(range(7))
    assert len({draw(seed) for seed in range(10)}) == 10


# The mapping file ------------------------------------------------------------------------------------------------


def read_mapping(
    tmp_path: Path, content: object, classes: tuple[str, ...] = ("cat", "dog"), spec: ModelSpec = SPEC
) -> object:
    path = tmp_path / "mapping.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return make_output("given", classes=classes, spec=spec, mapping_file=path).to_json()["mapping"]


def test_given_both_ways_round(tmp_path: Path) -> None:
    outputs = torch.randn(6, len(LABELS), generator=torch.Generator().manual_seed(0))
    path = tmp_path / "mapping.json"
    path.write_text('{"cat": "tabby", "dog": "chihuahua"}')
    straight = make_output("given", classes=("cat", "dog"), spec=SPEC, mapping_file=path)(outputs)
    path.write_text('{"dog": "tabby", "cat": "chihuahua"}')
    crossed = make_output("given", classes=("cat", "dog"), spec=SPEC, mapping_file=path)(outputs)
    assert torch.equal(straight, outputs[:, [0, 2]])
    assert torch.equal(crossed, straight.flip(1))


def test_given_takes_indices_labels_and_synonyms_in_any_case(tmp_path: Path) -> None:
    assert read_mapping(tmp_path, {"dog": ["BEAGLE", 2], "cat": "Tabby Cat"}) == [[0], [1, 2]]
    assert read_mapping(tmp_path, {"dog": "tabby, tabby cat", "cat": 6}) == [[6], [0]]
    assert read_mapping(tmp_path, {"dog": "wading_bird", "cat": "maillot"}) == [
        [6],
        [4],
    ]  # a whole label before a synonym
    assert read_mapping(tmp_path, {"dog": "crane", "cat": "tank suit"}) == [[5], [3]]


def test_given_averages_several_sources(tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    path.write_text('{"dog": [1, 2, 4], "cat": 0}')
    outputs = torch.randn(6, len(LABELS), generator=torch.Generator().manual_seed(0))
    logits = make_output("given", classes=("cat", "dog"), spec=SPEC, mapping_file=path)(outputs)
    assert torch.equal(logits[:, 0], outputs[:, 0])
    torch.testing.assert_close(logits[:, 1], outputs[:, [1, 2, 4]].mean(1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"cat": 0, "dgo": 1}, r"unknown class 'dgo'. Did you mean 'dog'\?"),
        ({"cat": 0}, "no sources for dog"),
        ('{"cat": 0, "dog": 1, "cat": 2}', "'cat' appears twice"),
        ({"cat": 0, "dog": "beagel"}, r"no label 'beagel'. Did you mean 'beagle'\?"),
        ({"cat": 0, "dog": 7}, r"source 7 is outside 0\.\.6"),
        ({"cat": 0, "dog": -1}, "outside"),
        ({"cat": 0, "dog": True}, "an index or a label, got True"),
        ({"cat": 0, "dog": 1.0}, "an index or a label"),
        ({"cat": 0, "dog": []}, "no sources for dog"),
        ({"cat": 1, "dog": ["beagle", 2]}, "source 1 is used by 'cat' and by 'dog'"),
        ({"cat": 0, "dog": [1, "beagle"]}, "source 1 is used"),
        ("[1, 2]", "expected a JSON object"),
        ("{cat: 0}", "not readable JSON"),
    ],
)
def test_given_says_what_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read_mapping(tmp_path, content)
    assert "mapping.json" in str(error.value)


def test_given_refuses_a_label_of_two_sources(tmp_path: Path) -> None:
    spec = ModelSpec("toy", (8, 8), 3, labels=("crane", "crane", "stove"))
    with pytest.raises(ConfigError, match="the sources 0, 1; give the index"):
        read_mapping(tmp_path, {"cat": "crane", "dog": 2}, spec=spec)


def test_given_without_labels_or_file(tmp_path: Path) -> None:
    spec = ModelSpec("toy", (8, 8), 3)
    assert read_mapping(tmp_path, {"cat": 2, "dog": 0}, spec=spec) == [[2], [0]]
    with pytest.raises(ConfigError, match="give the index"):
        read_mapping(tmp_path, {"cat": "crane", "dog": 2}, spec=spec)
    with pytest.raises(ConfigError, match="mapping file"):
        make_output("given", classes=("cat",), spec=SPEC)
    with pytest.raises(ConfigError, match="cannot read"):
        make_output("given", classes=("cat",), spec=SPEC, mapping_file=tmp_path / "none.json")
