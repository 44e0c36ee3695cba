"""`pixprompt proxy`: a prompt inside the requests that another program sends to a model."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ...prompt import load_committee
from ...urls import plain_url
from ..options import json_option
from .listening import listen_options, until_stopped, warn_of_others

__all__ = ["proxy"]

_LEDGER = Path("pixprompt-proxy.sqlite")


def _read_range(context: click.Context, parameter: click.Parameter, text: str) -> object:
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no JSON ({error}).") from error


@click.command()
@click.argument("prompt", metavar="PROMPT_OR_RUN", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "url", required=True, help="URL of the server; the paths of requests are added to it.")
@listen_options
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_LEDGER,
    show_default=True,
    help="Where requests with images, and their answers, are written.",
)
@click.option("--strict", is_flag=True, help="Refuse what is not understood; else it passes unchanged.")
@click.option("--map-answers", is_flag=True, help="Answer in the classes of the prompt, where scores can be read.")
@click.option(
    "--encoding",
    type=click.Choice(["png", "jpeg"]),
    default="png",
    show_default=True,
    help="How prompted image files are sent.",
)
@click.option(
    "--range",
    "value_range",
    callback=_read_range,
    default="unit",
    show_default=True,
    help='What images as numbers with a point range over: unit, byte, or {"mean": [...], "std": [...]}.',
)
@click.option("--input", "input_name", help="Tensor that holds the images, where a request has several.")
@click.option("--output", "output_name", help="Tensor that holds the scores, where a reply has several.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds that the server may stay silent.",
)
@json_option
def proxy(
    prompt: Path,
    url: str,
    port: int,
    host: str,
    max_request_mb: int,
    max_requests_at_once: int,
    input_name: str | None,
    output_name: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Put a prompt on the images inside other programs' requests and forward them to a server, until Ctrl-C or SIGTERM.

    Understood are the Open Inference Protocol v2, OpenAI-compatible chat with images, Hugging Face image
    classification and TensorFlow Serving. Point a client at the URL that is printed instead of the server's; its keys
    pass through. /health and /metrics are the proxy's own.
    """
    from ...serving import Limits
    from ...serving.proxy import Proxy, ProxyOptions

    settings = ProxyOptions(
        input=input_name,
        output=output_name,
        max_bytes=max_request_mb * 1_000_000,
        limits=Limits(requests=max_requests_at_once),
        **options,
    )
    loaded = load_committee(prompt / "prompt.png" if prompt.is_dir() else prompt)
    with ExitStack() as stack:
        server = Proxy(loaded, url, settings, host=host, port=port)
        if server.num_in_doubt:
            click.echo(
                f"note: {server.num_in_doubt} requests were under way when an earlier proxy ended, and may have been "
                f"answered; see: pixprompt ledger {settings.ledger} --requests",
                err=True,
            )
        warn_of_others(host, "the server behind with a key of their own")
        stopped = stack.enter_context(until_stopped())
        stack.enter_context(server)
        facts = {"url": server.origin, "host": host, "port": server.port, "to": plain_url(url)}
        click.echo(json.dumps(facts) if as_json else f"proxy at {server.origin}, before {plain_url(url)}")
        stopped.wait()
