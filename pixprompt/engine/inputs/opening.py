"""Opening a model by its name or its URL, and the journal through which it is queried."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import models, remote
from ...core import ConfigError, Model
from ...ledger.budget import Budget
from ...ledger.ledger import PRICE, Ledger
from ...ledger.reply_ledger import ReplyLedger
from ...remote.endpoint_file import read_endpoint
from ..config.groups import EndpointSettings
from ..config.train_config import TrainConfig
from ..result import cost

if TYPE_CHECKING:
    from ...ledger import Journal, Querier

__all__ = [
    "LEDGER",
    "QUERIES",
    "Calls",
    "endpoint_options",
    "endpoint_url",
    "identity_of",
    "is_remote",
    "journal_of",
    "names_hub",
    "open_ledger",
    "open_model",
    "open_querier",
]

LEDGER = Path("pixprompt-ledger.sqlite")
"""Where queries are written that belong to no run."""
_DESCRIBED = "endpoint:"
QUERIES = 2000
"""Of a model behind a URL, where no budget is given."""


@dataclass(frozen=True)
class Calls:
    """How a model behind a URL is called; None for a default. See `TrainConfig` for each.

    Attributes:
        ledger: Where queries are written that belong to no run; None for LEDGER in the current folder.
        budget: Queries that this call may take, where there is no run.
        max_requests: Requests that this call may send, where there is no run.

    Raises:
        ConfigError: The price is negative or no number.
    """

    protocol: str | None = None
    endpoint: str | None = None
    endpoint_options: str | None = None
    encoding: str | None = None
    concurrency: int | None = None
    rate: float | None = None
    timeout: float | None = None
    deadline: float | None = None
    in_doubt: str | None = None
    durability: str | None = None
    ledger: Path | None = None
    budget: int | None = None
    max_requests: int | None = None
    price_per_1000: float | None = None

    def __post_init__(self) -> None:
        cost(0, self.price_per_1000)  # before anything is paid, not with the result

    @classmethod
    def of(cls, config: TrainConfig) -> Calls:
        """Returns what a configuration says."""
        own = {item.name for item in fields(cls)} - {"budget", "max_requests"}
        names = own & config.options().keys()
        return cls(**{name: config.options()[name] for name in names})

    def over(self, other: Calls) -> Calls:
        """Returns the settings of this one, and the other's where this one has None."""
        return replace(other, **{name: value for name, value in self._set_values().items()})

    def check_idle(self, name: str) -> None:
        """Refuses settings that do nothing for a local model.

        Raises:
            ConfigError: There is one.
        """
        for setting in ("protocol", "endpoint", "endpoint_options"):
            if getattr(self, setting) is not None:
                option = setting.replace("_", "-")
                raise ConfigError(f"--{option} goes with a model behind a URL, and {name!r} is none; leave it out.")

    def _set_values(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def is_remote(name: str) -> bool:
    """Whether a name of a model is a URL, or endpoint:DESCRIPTION, which holds one."""
    return name.lower().startswith(("http://", "https://", _DESCRIBED))


def names_hub(name: str) -> bool:
    """Whether a model name leads to a repository of somebody's choice on a hub."""
    prefix, _, target = name.partition(":")
    return prefix in ("timm", "open_clip") and (
        target.startswith(("hf-hub:", "hf_hub:")) or (prefix == "timm" and "/" in target)
    )


def open_model(
    name: str,
    *,
    weights: str | None = None,
    device: str = "cpu",
    calls: Calls | None = None,
    pretrained: bool = True,
) -> Model:
    """Builds a model from its name, or reads what an endpoint says of the model behind it, which costs nothing.

    Args:
        name: As for `load_model`, or http(s)://..., or endpoint:DESCRIPTION for the URL of a description.
        weights: A file to take the weights from.

    Raises:
        ConfigError: The settings do not go together.
        EndpointError: There is no such model behind the URL.
        ModelError: The model cannot be built.
        UnknownName: Nothing is known under that name.
    """
    calls = calls or Calls()
    if not is_remote(name):
        calls.check_idle(name)
        file = Path(weights) if weights else None
        return models.load_model(name, weights=file, device=device, pretrained=pretrained)
    if weights:
        raise ConfigError("--weights does not go with a model behind a URL; it has its own.")
    url, described = _address(name, calls)
    return remote.connect(
        url,
        name=name,
        options=endpoint_options(calls.endpoint_options),
        protocol=calls.protocol,
        endpoint=described,
        encoding=calls.encoding,
        concurrency=calls.concurrency or EndpointSettings.concurrency,
        rate=calls.rate,
        timeout=calls.timeout or EndpointSettings.timeout,
        deadline=calls.deadline or EndpointSettings.deadline,
    )


def endpoint_url(name: str, calls: Calls) -> str:
    """Returns the URL that a name of a remote model leads to, without calling it.

    Raises:
        ConfigError: The settings do not go together.
    """
    url, described = _address(name, calls)
    options = endpoint_options(calls.endpoint_options)
    return read_endpoint(url, described, protocol=calls.protocol, options=options).url


def _address(name: str, calls: Calls) -> tuple[str | None, str | None]:
    """Returns the URL and the description, as `remote.connect` takes them."""
    if not name.lower().startswith(_DESCRIBED):
        return name, calls.endpoint
    if calls.endpoint is not None:
        raise ConfigError(f"--model {name} names a description already; leave out --endpoint.")
    return None, name[len(_DESCRIBED) :]


def endpoint_options(text: str | None) -> dict[str, Any]:
    """Reads "name=value,...": whole numbers, true and false, everything else is text, in JSON's quotes or not."""
    options: dict[str, Any] = {}
    for pair in (text or "").split(",") if text else []:
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise ConfigError(f"expected --endpoint-options as name=value,name=value, got {pair.strip()!r} in it.")
        options[name.strip()] = _value(value.strip())
    return options


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | str) else text


def identity_of(model: Model) -> str:
    """Returns what, besides the image, the answers of a model behind a URL depend on; nothing of a local one."""
    endpoint = remote.endpoint_of(model)
    return endpoint.identity if endpoint else ""


def open_ledger(path: Path, model: Model) -> Ledger:
    """Opens the ledger in which the queries of a model are written.

    Raises:
        PixpromptError: The file is no such ledger.
    """
    return ReplyLedger(path) if remote.endpoint_of(model) else Ledger(path)


def journal_of(
    model: Model,
    ledger: Ledger,
    budget: Budget,
    *,
    calls: Calls | None = None,
    identity: str = "",
    session_only: bool = False,
) -> Journal:
    """Returns what queries a model, writes every query down and keeps to the budget.

    Args:
        model: Any.
        ledger: From `open_ledger`.
        identity: What, besides its name, distinguishes a local model from others.
        session_only: Whether a remote model counts, and spends of the budget, what this call queries alone.

    Raises:
        DoubtError: Requests of an earlier session are in doubt, and nobody said what to do.
    """
    calls = calls or Calls()
    ledger.durability = calls.durability or EndpointSettings.durability
    endpoint = remote.endpoint_of(model)
    if endpoint and isinstance(ledger, ReplyLedger):
        concurrency = calls.concurrency or EndpointSettings.concurrency
        return remote.RemoteJournal(
            endpoint,
            ledger,
            budget,
            concurrency=concurrency,
            in_doubt=calls.in_doubt,
            session_only=session_only,
            leave_refused=True,
        )
    # One image per request where that is what a callable takes: if it fails, no answer before it is lost.
    single = getattr(model, "takes", None) == "image"
    from ...ledger import LocalJournal

    return LocalJournal(model, ledger, budget, identity=identity, max_batch=1 if single else None)


def open_querier(model: Model, calls: Calls) -> Querier:
    """Returns what queries a model outside a run: a local one is counted, a remote one has a ledger and a budget.

    Raises:
        DoubtError: See `journal_of`.
        PixpromptError: The ledger cannot be used.
    """
    if remote.endpoint_of(model) is None:
        return models.DirectQuerier(model)
    ledger = ReplyLedger(calls.ledger or LEDGER)
    try:
        budget = Budget(QUERIES if calls.budget is None else calls.budget, max_requests=calls.max_requests)
        if calls.price_per_1000 is not None:
            ledger.write_meta(**{PRICE: str(calls.price_per_1000)})
        return journal_of(model, ledger, budget, calls=calls, session_only=True)
    except BaseException:
        ledger.close()
        raise
