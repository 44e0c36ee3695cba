"""`pixprompt serve`: a local model, or a saved prompt with its model, as an endpoint of the Open Inference Protocol."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...core import AnswerKind, ConfigError
from ...version import __version__
from ..allocator import keep_freed_memory
from ..calls import call_options, calls_of, with_policy
from ..options import device_option, json_option
from .listening import listen_options, until_stopped, warn_of_others

if TYPE_CHECKING:
    from ...serving import PromptService, Server, Service

__all__ = ["serve"]


@click.command()
@click.argument("source", required=False, metavar="[PROMPT_OR_RUN]")
@click.option("--model", help="Model to serve; with a prompt, the one to put it before.  [default: its own]")
@click.option("--weights", help="Weights file for the model.")
@listen_options
@click.option("--name", help="Name of the model in the address.  [default: made of the prompt's or the model's]")
@device_option
@click.option(
    "--answer",
    type=click.Choice(["logits", "probabilities"]),
    help="What a bare model answers with.  [default: as it does]",
)
@click.option(
    "--delay-ms",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Wait before each answer of a bare model, for demos.",
)
@call_options
@json_option
def serve(
    source: str | None,
    port: int,
    host: str,
    max_requests_at_once: int,
    budget: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Serve a prompt or a run with its model, or a bare local model, over HTTP until Ctrl-C or SIGTERM.

    Both speak the Open Inference Protocol v2. With a prompt or a run, images may have any size, the answers are labels
    with probabilities, and POST /predict takes an image file as it is.

    One line on stdout says where, as soon as it answers. There is no password: whoever reaches the port can use it.
    """
    from ...serving import Limits, Server

    keep_freed_memory()
    calls = calls_of(options, budget=budget)
    with ExitStack() as stack:
        service: Service | PromptService
        if source is None:
            service = _model_service(options)
        else:
            if options["answer"] or options["delay_ms"]:
                raise click.UsageError("--answer and --delay-ms go with a bare model; leave out one or the other.")
            service = _prompt_service(source, calls, options, stack)
        warn_of_others(host, "the model")
        stopped = stack.enter_context(until_stopped())
        limits = Limits(requests=max_requests_at_once)
        server = stack.enter_context(Server(service, host=host, port=port, limits=limits))
        click.echo(_ready_line(server, service, as_json))
        stopped.wait()


def _model_service(options: dict[str, Any]) -> Service:
    from ...engine.inputs.devices import pick_device
    from ...models import load_model
    from ...serving import Service

    if options["model"] is None:
        raise click.UsageError("say what to serve: a prompt, a run, or --model NAME.")
    place = pick_device(options["device"])
    service = Service(
        load_model(options["model"], weights=options["weights"], device=place),
        name=options["name"],
        answer=None if options["answer"] is None else AnswerKind(options["answer"]),
        device=place,
        max_bytes=options["max_request_mb"] * 1_000_000,
        version=__version__,
        delay=options["delay_ms"] / 1000,
    )
    if service.answer is AnswerKind.EMBEDDINGS:
        click.echo(
            f"note: {options['model']} answers with image embeddings; a caller needs its text encoder to get labels.",
            err=True,
        )
    return service


def _prompt_service(source: str, calls: Any, options: dict[str, Any], stack: ExitStack) -> PromptService:
    from ...engine.saved.deploy import deploy
    from ...serving import PromptService, served_name

    if not Path(source).exists() and not source.startswith("hf:"):
        raise ConfigError(f"there is no prompt or run {source!r}; a bare model is served with --model {source}.")
    named = {name: options[name] for name in ("model", "weights", "device")}
    deployed = with_policy(
        lambda policy: deploy(source, calls=replace(calls, in_doubt=policy), **named),
        calls.in_doubt,
    )
    stack.callback(deployed.close)
    name = options["name"] or served_name(Path(source).resolve().stem)
    return PromptService(deployed, name=name, max_bytes=options["max_request_mb"] * 1_000_000, version=__version__)


def _ready_line(server: Server, service: Service | PromptService, as_json: bool) -> str:
    from ...serving import Service

    if not as_json:
        return f"serving {service.name} at {server.url}"
    facts = {"url": server.url, "host": server.host, "port": server.port, "name": service.name}
    if isinstance(service, Service):
        spec = service.model.spec
        size = {"image_size": list(spec.image_size), "num_outputs": spec.num_outputs, "answer": str(service.answer)}
        facts |= {"model": spec.name, **size}
    else:
        facts |= {"predict": f"{server.origin}/predict", "answer": "probabilities", "classes": list(service.classes)}
    return json.dumps(facts)  # one line, so that a reader of the pipe knows where it ends
