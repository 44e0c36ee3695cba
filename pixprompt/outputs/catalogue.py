"""The output transforms that have a name, described without importing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import Registry

if TYPE_CHECKING:
    from .base import Transform

__all__ = ["OUTPUTS"]

_HERE = __name__.rpartition(".")[0]


def _with_name(output: type[Transform], name: str) -> type[Transform]:
    output.kind = name  # what is saved names the code by which it can be read again
    return output


OUTPUTS: Registry[type[Transform]] = Registry(
    "output transform",
    {
        "attributes": (
            f"{_HERE}.texts.attributes:AttributeTexts",
            "Mean similarity to the nearest descriptive and distinctive attribute texts of each class (dual encoders).",
        ),
        "blm": (f"{_HERE}.bayesian:BayesianMapping", "Bayesian label mapping from counts of top answers."),
        "blm+": (
            f"{_HERE}.bayesian:BayesianMappingPlus",
            "Bayesian label mapping from summed probabilities of the likeliest sources, whose number is chosen.",
        ),
        "first-k": (f"{_HERE}.mapping:FirstK", "Class k reads source k: hard-coded, learns nothing."),
        "frequency": (
            f"{_HERE}.mapping:FrequencyMapping",
            "Greedy matching of sources and classes by how often they meet, fitted once before training.",
        ),
        "given": (
            f"{_HERE}.mapping:GivenMapping",
            "The sources of each class as a JSON file of yours says, by index or by label.",
        ),
        "iterative": (
            f"{_HERE}.mapping:IterativeMapping",
            "The frequency mapping, matched again from the prompted answers during training.",
        ),
        "lda": (
            f"{_HERE}.linear.few_answers:Discriminant",
            "Linear discriminant analysis, its covariance shrunk as far as the nearest mean; for few answers.",
        ),
        "linear": (
            f"{_HERE}.linear.head:LinearHead",
            "Multinomial logistic regression on the outputs: the strongest transform, and one that learns most.",
        ),
        "names": (
            f"{_HERE}.texts.names:NamesMapping",
            "Each class reads the source label of the same name; needs no labelled answers at all.",
        ),
        "random": (f"{_HERE}.mapping:RandomMapping", "Each class reads a source drawn by the seed, none drawn twice."),
        "reweighted": (
            f"{_HERE}.texts.reweighted:ReweightedAttributes",
            "Attribute texts, each under the prompt of its group, by how likely each makes a class (dual encoders).",
        ),
        "residual": (
            f"{_HERE}.linear.residual:ResidualHead",
            "Text prompts and a linear correction of them, as large as labelled answers ask for (dual encoders).",
        ),
        "ridge": (
            f"{_HERE}.linear.few_answers:Ridge",
            "Ridge regression on the indicators of the classes, in closed form.",
        ),
        "semantic": (
            f"{_HERE}.texts.names:SemanticMapping",
            "Each class reads the source with the nearest name in a text encoder, each source once.",
        ),
        "text": (
            f"{_HERE}.texts.text:TextPrompts",
            "Cosine similarity to text embeddings, one template or an ensemble (dual encoders).",
        ),
        "weighted": (
            f"{_HERE}.linear.weighted:WeightedSources",
            'Each class reads its best sources with learned weights: between a mapping and "linear".',
        ),
    },
    group="pixprompt.outputs",
    needs="shift_invariant",
    rename=_with_name,
)
