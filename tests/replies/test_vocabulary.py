"""Labels found in answers: growth, closing, restoring, and sentences that mention them."""

from __future__ import annotations

import pytest

from pixprompt.core import ModelError
from pixprompt.replies import OTHER, vocabulary
from pixprompt.replies.vocabulary import Vocabulary

LABELS = ("tabby, tabby cat", "Dog", "traffic_light", "tiger", "tiger shark", "bus", "glass")


def read(text: str, labels: tuple[str, ...] = LABELS) -> str:
    names = Vocabulary(labels, name="api")
    return names.labels[names.read(text)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Dog", "Dog"),
        ("  dog.", "Dog"),
        ("a DOG", "Dog"),
        ("I see two dogs in a park, next to a bus.", "Dog"),  # plural; the first mention
        ("I see a bus full of dogs.", "bus"),
        ("It waits at a traffic light.", "traffic_light"),
        ("TRAFFIC-LIGHTS!", "traffic_light"),
        ("traffic_light", "traffic_light"),
        ("A photo of a tiger shark.", "tiger shark"),  # the longest that begins there
        ("A photo of a tiger, and no shark at all.", "tiger"),
        ("Some tabby cat sleeps on the sofa.", "tabby, tabby cat"),  # synonyms
        ("tabby", "tabby, tabby cat"),
        ("There is no dog in this picture.", "Dog"),  # negation is not understood
    ],
)
def test_texts_are_matched_to_labels(text: str, label: str) -> None:
    assert read(text) == label


@pytest.mark.parametrize(
    "text",
    ["", "???", "doggy", "hotdog", "dogma is underdogs' food", "a light in the traffic", "buse", "glas", "cat"],
)
def test_parts_of_words_and_torn_phrases_are_no_mention(text: str) -> None:
    assert read(text) == OTHER
    if "dog" in text:  # the negative control: what a search in the plain text would find
        assert "dog" in text.lower()


def test_labels_that_differ_by_a_plural_stay_apart() -> None:
    labels = ("cats", "cat")
    assert [read(text, labels) for text in ("cat", "cats", "My cat is here", "My cats are here")] == [
        "cat", "cats", "cat", "cats",
    ]  # fmt: skip


def test_an_open_vocabulary_grows_at_its_end_until_it_is_closed() -> None:
    names = Vocabulary(None, name="api")
    assert (names.labels, names.open) == ((OTHER,), True)
    assert [names.read(text) for text in ("Cat.", "a dog", "cats", "CAT")] == [1, 2, 1, 1]
    assert names.read("Nothing in this picture is easy to name.") == 0, "a sentence is no label"
    assert names.read("The little cat looks at the camera again") == 1, "but it may mention one"
    assert [names.index(label) for label in ("dog", "a dog", "Dog")] == [3, 2, 4], "names of scores are taken exactly"
    names.close()
    assert names.labels == (OTHER, "Cat", "a dog", "dog", "Dog")
    assert (names.read("bird"), names.index("bird"), names.open) == (0, 0, False)


def test_found_labels_do_not_swallow_longer_ones() -> None:
    names = Vocabulary(None, name="api")
    assert [names.read(text) for text in ("tiger", "tiger shark", "tiger beetle", "tiger")] == [1, 2, 3, 1]
    names.close()
    assert names.read("a tiger shark near the beach at night") == 2
    assert names.read("tiger cat") == 1, "nothing can be added any more, so the mention counts"


def test_expected_names_are_found_in_short_answers_too() -> None:
    names = Vocabulary(None, name="api")
    assert names.read("probably a cat") == 1, "unexpected, so it is a label of its own"
    names = Vocabulary(None, name="api")
    names.expect(("cat", "sea_horse"))
    assert names.labels == (OTHER, "cat", "sea_horse")
    assert [names.read(text) for text in ("probably a cat", "Sea horses", "stove")] == [1, 2, 3]
    names.expect(("cat",))
    assert names.labels == (OTHER, "cat", "sea_horse", "stove")
    closed = Vocabulary(("dog",), name="api")
    closed.expect(("cat",))
    assert closed.labels == ("dog", OTHER)


TEXTS = (
    *(
        "cat",
        "Two dogs sit in the grass there.",
        "tabby, tabby cat",
        "tiger",
        "tiger shark",
        "sea horse",
        "?",
        "a stove",
    ),
    *("One tabby cat on a red sofa today", "bird", "a long text about a bird in the air"),
)


def test_a_restored_vocabulary_reads_as_the_one_before() -> None:
    before = Vocabulary(None, name="api")
    before.expect(("cat", "dog"))
    for text in TEXTS[:8]:
        before.read(text)
    during = Vocabulary(None, name="api")
    during.restore(before.labels, closed=False)
    during.expect(("cat", "dog"))
    assert (during.labels, during.open) == (before.labels, True)
    assert [during.read(text) for text in TEXTS] == [before.read(text) for text in TEXTS]
    before.close()
    after = Vocabulary(None, name="api")
    after.restore(before.labels, closed=True)
    assert (after.labels, after.open) == (before.labels, False)
    assert [after.read(text) for text in TEXTS] == [before.read(text) for text in TEXTS]
    late = Vocabulary(None, name="api")
    assert [late.read(text) for text in reversed(TEXTS)] != [before.read(text) for text in reversed(TEXTS)]


def test_labels_that_were_given_are_kept() -> None:
    names = Vocabulary(("b", "a", "b"), name="api")
    assert (names.labels, names.open) == (("b", "a", OTHER), False)
    assert names.index("c") == 2
    names.restore(("b", "a", OTHER), closed=True)
    with pytest.raises(ModelError, match="'api' has 3 labels, and not the 2"):
        names.restore((OTHER, "a"), closed=True)
    assert Vocabulary((OTHER, "a"), name="api").labels == (OTHER, "a")
    for damaged in (("a", "b"), (OTHER, "a", "a")):
        with pytest.raises(ModelError, match="damaged"):
            Vocabulary(None, name="api").restore(damaged, closed=True)


def test_the_number_of_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_MAX_LABELS", 4)
    names = Vocabulary(None, name="api")
    assert [names.index(label) for label in "abc"] == [1, 2, 3]
    with pytest.raises(ModelError, match="'api' has answered with 4 different labels and goes on; give the ones"):
        names.index("d")
    names.close()
    assert names.index("d") == 0
