"""Settings that do not go together, or would do nothing: refused before anything is built or paid for."""

from __future__ import annotations

from ...core import Access, AccessError, ConfigError, Model
from .methods import INSIDE, check_inside
from .train_config import TrainConfig

__all__ = ["check_settings"]

_BY_ANSWERS = ("basis", "basis_size", "sigma", "population", "head_images", "test_images", "surrogate", "encoder")


def check_settings(config: TrainConfig, model: Model, by_answers: bool) -> None:
    """Makes sure that the settings of a run go together.

    Raises:
        AccessError: The model does not give the gradients that the method needs.
        ConfigError: They do not, or some would do nothing.
    """
    check_inside(config, model)
    if config.method in INSIDE:
        _check_idle(config, by_answers)
        return
    if config.method != "pixel" and not by_answers:
        raise ConfigError(f"method {config.method!r} learns from answers alone; leave out --optimizer.")
    if config.method == "blackvip" and config.encoder is None:
        raise ConfigError(
            "method 'blackvip' describes each image with a local model: name one with --encoder (BlackVIP's is a "
            "self-supervised ViT-B; any classifier does)."
        )
    _check_idle(config, by_answers)
    if by_answers and config.space != "pixel":
        raise ConfigError("a search by answers asks about real images; use --space pixel.")
    if by_answers:
        return
    needed = Access.GRADIENTS if config.space == "pixel" else Access.INTERNALS
    if model.access < needed:
        raise AccessError(
            f"method {config.method!r} with optimizer {config.optimizer!r} needs {needed.name} access, "
            f"but {model.spec.name} offers {model.access.name}. "
            "Leave out --optimizer, to learn from answers alone."
        )


def _check_idle(config: TrainConfig, by_answers: bool) -> None:
    """Refuses settings that would do nothing: whoever gives them believes that they do something."""
    if not by_answers:
        idle = [name for name in _BY_ANSWERS if getattr(config, name) is not None]
        reason = "serves runs that learn from answers alone (--budget)"
    elif config.preset != "default":
        idle, reason = [f"preset {config.preset}"], "is a recipe of learning by gradients"
    elif config.method != "pixel":
        idle = [name for name in ("basis_size", "surrogate") if getattr(config, name) is not None]
        reason = f"does nothing with method {config.method!r}"
    else:
        idle = ["encoder"] if config.encoder is not None else []
        reason = "serves method 'blackvip'"
    for name, needs in (("surrogate_weights", "surrogate"), ("encoder_weights", "encoder")):
        if getattr(config, name) is not None and getattr(config, needs) is None:
            idle, reason = [name], f"goes with --{needs}"
    if idle:
        raise ConfigError(f"--{idle[0].replace('_', '-')} {reason}; leave it out.")
