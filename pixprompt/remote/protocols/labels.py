"""The labels that an endpoint is asked to choose from."""

from __future__ import annotations

from ...core import ConfigError
from ..protocol import Endpoint

__all__ = ["labels_option"]


def labels_option(endpoint: Endpoint) -> tuple[str, ...]:
    """Returns the option "labels", or else the labels of the endpoint.

    Raises:
        ConfigError: They are not two or more different texts.
    """
    given = endpoint.options.get("labels", endpoint.labels)
    labels = tuple(given) if isinstance(given, list | tuple) else ()
    named = all(isinstance(label, str) and label for label in labels)
    if len(labels) < 2 or not named or len(set(labels)) < len(labels):
        raise ConfigError(
            f'protocol {endpoint.protocol} chooses among labels: give two or more different ones as "labels", '
            f"got {given!r}."
        )
    return labels
