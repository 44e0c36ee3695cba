"""What a run says first: the model, the data with their splits, the recipe, and what of it is the default."""

from __future__ import annotations

from .config.groups import DataSettings, ModelSettings
from .parts import Parts

__all__ = ["first_lines"]


def first_lines(parts: Parts) -> list[str]:
    """Returns the lines; a name that nobody would have had to type is marked."""
    config, data = parts.config, parts.data
    splits = {"train": data.train, "val": data.val, "test": data.test}
    sizes = ", ".join(f"{len(images):,} {split}" for split, images in splits.items())
    place = f"; from {data.source}" if data.source else ""
    model = _marked(parts.model.spec.name, ModelSettings.name)
    images = f"{len(data.classes)} classes, {sizes} images"
    return [
        f"model   {model}",
        f"data    {_marked(data.name, DataSettings.name)}: {images}{place}",
        *(f"        {note}" for note in data.notes),
        f"recipe  {config.method.name}, preset {config.preset}: {_recipe(parts)}",
    ]


def _marked(name: str, default: str) -> str:
    return f"{name} (the default)" if name == default else name


def _recipe(parts: Parts) -> str:
    fit, search = parts.config.fit, parts.config.search
    values = {
        "optimizer": fit.optimizer,
        "learning rate": fit.lr,
        "epochs": fit.epochs,
        "batch size": fit.batch_size,
        "budget": search.budget,
        "seed": parts.config.seed,
    }
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
