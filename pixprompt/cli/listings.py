"""`pixprompt models`, `datasets`, `templates` and the others that list names, one line each."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ..registry import Registry
from .options import json_option, print_names

__all__ = ["methods", "models", "optimizers", "outputs", "protocols", "templates"]


def _listing(name: str, module: str, attributes: str, text: str) -> click.Command:
    @click.command(name, help=text)
    @json_option
    def command(as_json: bool) -> None:
        # Imported here: a registry lives beside its entries, and those import torch.
        home = importlib.import_module(f"...{module}", __name__)
        registries: list[Registry[Any]] = [getattr(home, attribute) for attribute in attributes.split()]
        print_names(dict(sorted(pair for registry in registries for pair in registry.describe().items())), as_json)

    return command


models = _listing("models", "models", "MODELS", "List the models that have a short name, for --model.")
templates = _listing("templates", "templates", "TEMPLATES", "List the geometries of a pixel prompt, for --template.")
outputs = _listing("outputs", "outputs", "OUTPUTS", "List the ways from a model's answers to labels, for --output.")
methods = _listing("methods", "adapters", "METHODS", "List what can be learned, for --method.")
optimizers = _listing("optimizers", "optimizers", "OPTIMIZERS QUERY_OPTIMIZERS", "List the optimizers.")
protocols = _listing(
    "protocols", "remote.protocols", "PROTOCOLS", "List the ways to speak to a model behind a URL, for --protocol."
)
