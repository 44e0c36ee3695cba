"""The labels that an endpoint is asked about."""

from __future__ import annotations

from ...core import ConfigError
from ..protocol import Endpoint

__all__ = ["MAX_LABELS", "check_named", "labels_option"]

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
    labels = tuple(value) if isinstance(value, list | tuple) else ()
    named = all(isinstance(label, str) and label for label in labels)
    if len(labels) < 2 or not named or len(set(labels)) < len(labels):
        raise ConfigError(
            f'protocol {endpoint.protocol} chooses among labels: give two or more different ones as "labels", '
            f"got {value!r}."
        )
    return labels


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
