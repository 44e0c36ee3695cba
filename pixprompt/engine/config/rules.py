"""Settings that do not go together, or would do nothing: refused before anything is built or paid for."""

from __future__ import annotations

from ...adapters import Learning
from ...core import Access, AccessError, ConfigError, Model
from ...ledger import zero_shot
from ...optimizers import OPTIMIZERS
from ...remote import endpoint_of
from ...settings import flag
from .grids import grids
from .groups import PromptSettings
from .train_config import TrainConfig, idle_option

__all__ = ["check_settings"]

_BY_ANSWERS = (
    "basis",
    "basis_size",
    "sigma",
    "population",
    "decay",
    "decay_offset",
    "sigma_decay",
    "least_step",
    "radius",
    "head_images",
    "surrogate",
    "views",
    "vocabulary",
    "cascade",
    "search_anyway",
    "student",
)

_CALLS = ("protocol", "endpoint", "endpoint_options", "encoding", "rate")

_OUTPUT_CONSTANTS = {
    "smoothing": ("blm", "blm+", "reweighted"),
    "top": ("blm+", "reweighted"),
    "sources": ("frequency", "iterative", "weighted"),
    "nearest": ("attributes",),
}


def check_settings(config: TrainConfig, model: Model, by_answers: bool) -> None:
    """Makes sure that the settings of a run go together.

    Raises:
        AccessError: The model does not give what the method needs.
        ConfigError: They do not, or some would do nothing.
    """
    config.adapter.check()
    _check_output(config, by_answers)
    _check_endpoint(config, model)
    if config.method.white_box:
        _check_white_box(config, model)
        _check_idle(config, by_answers)
        return
    name = config.method.name
    if config.fit.grid_search or config.fit.seeds != 1:
        raise ConfigError(f"--search and --seeds serve methods that reach into the model, not {name!r}.")
    if config.method.learning is Learning.ANSWERS and not by_answers:
        raise ConfigError(f"method {name!r} learns from answers alone; leave out --optimizer.")
    _check_idle(config, by_answers)
    if by_answers:
        _check_views(config)
        _check_vocabulary(config, model)
        if config.search.search_anyway and config.method.file is None:
            raise ConfigError(f"--search-anyway: method {name!r} looks for no prompt; leave it out.")
        if config.prompt.space != "pixel":
            raise ConfigError("a search by answers asks about real images; use --space pixel.")
        return
    needed = Access.GRADIENTS if config.prompt.space == "pixel" else Access.INTERNALS
    if model.access < needed:
        raise AccessError(
            f"method {name!r} with optimizer {config.fit.optimizer!r} needs {needed.name} access, "
            f"but {model.spec.name} offers {model.access.name}. "
            + ("Use --method pixel" if config.method.access > Access.SCORES else "Leave out --optimizer")
            + ", to learn from answers alone."
        )


def _check_endpoint(config: TrainConfig, model: Model) -> None:
    idle = [name for name in _CALLS if config.options()[name] is not None]
    if idle and endpoint_of(model) is None:
        raise ConfigError(f"{flag(idle[0])} serves models behind a URL, and {model.spec.name} is none; leave it out.")


def _check_output(config: TrainConfig, by_answers: bool) -> None:
    for name, kinds in _OUTPUT_CONSTANTS.items():
        is_used = config.output.kind in kinds or (config.output.kind == "auto" and by_answers)
        if getattr(config.output, name) is not None and not is_used:
            raise ConfigError(f"{flag(name)} goes with --output {' or '.join(kinds)}; leave it out.")


def _check_views(config: TrainConfig) -> None:
    views = config.search.views or "none"
    if views != "none" and config.method.name != "pixel":
        raise ConfigError(f"--views serves method 'pixel', not {config.method.name!r}; leave it out.")
    if views not in ("none", "auto") and not (views.isdecimal() and int(views) >= 1):
        raise ConfigError(f"--views is a number from 1 on, 'auto' or 'none', got {views!r}.")
    if views in ("none", "1") and config.search.cascade is not None:
        raise ConfigError(f"--cascade serves committees of several views, and --views is {views}; leave it out.")


def _check_vocabulary(config: TrainConfig, model: Model) -> None:
    if config.search.vocabulary not in (None, "none") and not zero_shot(model):
        raise ConfigError(
            f"--vocabulary serves models that are asked about labels of the caller's choice, and {model.spec.name} has "
            "labels of its own; leave it out. (A chat endpoint needs the option logprobs=true for it.)"
        )


def _check_white_box(config: TrainConfig, model: Model) -> None:
    method = config.method
    if config.fit.compile:
        raise idle_option("compile", method)
    for name, item in PromptSettings.options().items():
        if getattr(config.prompt, item.name) != item.default:
            raise idle_option(name, method)
    if model.access < method.access:
        raise AccessError(
            f"method {method.name!r} needs {method.access.name} access, but {model.spec.name} offers "
            f"{model.access.name}. Use method 'pixel', or a local torch model."
        )
    if config.fit.optimizer not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise ConfigError(f"method {method.name!r} learns by gradients: {known}; got {config.fit.optimizer!r}.")
    if (config.fit.batch_size or method.least_batch) < method.least_batch:
        raise ConfigError(
            f"method {method.name!r} has batch statistics; --batch-size must be at least {method.least_batch}, "
            f"got {config.fit.batch_size}."
        )
    _check_search(config)


def _check_search(config: TrainConfig) -> None:
    fit = config.fit
    if fit.grid_search:
        grids(config)
        if fit.epochs == 0:
            raise ConfigError("--search compares what was learned; --epochs must be at least 1, got 0.")
        for name, value in (("lr", fit.lr), ("weight_decay", fit.weight_decay)):
            if value is not None:
                raise ConfigError(
                    f"--search chooses {flag(name)}; leave it out, or give the values to try: {flag(name)}-grid."
                )
        return
    idle = [name for name in ("lr_grid", "weight_decay_grid", "search_trials") if getattr(fit, name) is not None]
    if fit.seeds != 1:
        idle.append("seeds")
    if idle:
        raise ConfigError(f"{flag(idle[0])} goes with --search; leave it out.")


def _check_idle(config: TrainConfig, by_answers: bool) -> None:
    """Refuses settings that would do nothing: whoever gives them believes that they do something."""
    options, idle, reason = config.options(), [], ""
    if not by_answers:
        idle = [name for name in _BY_ANSWERS if options[name] not in (None, False)]
        reason = "serves runs that learn from answers alone (--budget)"
    elif config.preset != "default":
        idle, reason = [f"preset {config.preset}"], "is a recipe of learning by gradients"
    elif config.fit.compile:
        idle, reason = ["compile"], "serves learning by gradients"
    elif config.fit.augment not in (None, "none"):
        idle, reason = ["augment"], "changes training images, and answers to changed ones cannot be used again"
    else:
        idle = [name for name in config.method.idle if options[name] is not None]
        reason = f"does nothing with method {config.method.name!r}"
    for name, needs in (
        ("surrogate_weights", "surrogate"),
        ("mimic", "surrogate"),
        ("encoder_weights", "encoder"),
        ("student_weights", "student"),
        ("student_images", "student"),
    ):
        if options.get(name) is not None and options[needs] is None:
            idle, reason = [name], f"goes with --{needs}"
    if idle:
        raise ConfigError(f"{flag(idle[0])} {reason}; leave it out.")
