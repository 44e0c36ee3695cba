"""`pixprompt evaluate`: a saved prompt with its model, on a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, with_policy
from ..console import Console
from ..learning.train import format_ladder
from ..options import cascade_option, device_option, json_option, print_result

__all__ = ["evaluate"]


@click.command()
@click.argument("source", metavar="PROMPT_OR_RUN")
@click.option("--model", help="Model to ask.  [default: the one that the prompt was learned for]")
@click.option("--weights", help="Weights file for the model.")
@click.option("--data", help="Data set to score on.  [default: with a run directory, that of the run]")
@device_option
@click.option("--workers", type=click.IntRange(min=0), default=2, show_default=True, help="Threads that decode images.")
@cascade_option
@call_options
@json_option
def evaluate(source: str, budget: int | None, as_json: bool, **options: Any) -> None:
    """Score a saved prompt, as re-read from its PNG, on the validation and test images of a data set.

    Of a model behind a URL only what the ledger does not hold is asked.
    """
    from ...engine.saved.evaluate import evaluate as score_prompt

    keep_freed_memory()
    calls = calls_of(options, budget=budget)
    with Console() as console:
        result = with_policy(
            lambda policy: score_prompt(
                source,
                price_per_1000=calls.price_per_1000,
                reporter=console,
                calls=replace(calls, in_doubt=policy),
                **options,
            ),
            calls.in_doubt,
        )
    print_result(result.to_json(), [format_ladder(result)], as_json)
