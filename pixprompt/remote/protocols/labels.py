"""The labels that an endpoint is asked about."""

from __future__ import annotations

from ...core import ConfigError
from ..protocol import Endpoint

__all__ = ["MAX_LABELS", "are_labels", "check_named", "labels_option"]

MAX_LABELS = 1000
"""Labels in one request where the endpoint names no limit of its own."""


def labels_option(endpoint: Endpoint) -> tuple[str, ...]:
    """Returns the option "labels", or else the labels of the endpoint; none where a run has still to name them.

    Raises:
        ConfigError: They are not two or more different texts.
    """
    value = endpoint.options.get("labels", endpoint.labels)
    if value is None:
        return ()
    if not are_labels(value):
        raise ConfigError(
            f'protocol {endpoint.protocol} chooses among labels: give two or more different ones as "labels", '
            f"got {value!r}."
        )
    return tuple(value)


def are_labels(value: object) -> bool:
    """Whether a value is a list of two or more different texts, none of them empty."""
    if not isinstance(value, list | tuple) or not all(isinstance(label, str) and label for label in value):
        return False
    return len(value) == len(set(value)) > 1


def check_named(labels: tuple[str, ...], endpoint: Endpoint) -> None:
    """Makes sure that there are labels to ask about.

    Raises:
        ConfigError: There are none.
    """
    if not labels:
        raise ConfigError(
            f'protocol {endpoint.protocol} asks about labels, and none are named: give them as "labels" in a '
            "description. A training run names its classes, a saved prompt the labels that it was learned with."
        )
