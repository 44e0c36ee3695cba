"""Packages that are not installed: which one is missing, and what installs it."""

from __future__ import annotations

import re

__all__ = ["missing_package"]

_DISTRIBUTIONS = {"PIL": "pillow", "open_clip": "open_clip_torch", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Module -> distribution, where the names differ."""


def missing_package(error: ImportError) -> str | None:
    """Says which of our requirements an import lacks, and what installs it; None where it is none of them."""
    module = (error.name or "").partition(".")[0]
    name = _DISTRIBUTIONS.get(module, module)
    for line in _requirements():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        if re.split("[^A-Za-z0-9._-]", requirement)[0].lower() != name.lower():
            continue
        extra = re.search(r"""extra == ["'](\w+)["']""", marker)
        whole = f"'pixprompt[{extra[1]}]'" if extra else "pixprompt"
        return (
            f"this needs the package {name}, which is not installed. pip install '{requirement}' brings it alone, "
            f"pip install {whole} everything that may be needed."
        )
    return None


def _requirements() -> list[str]:
    from importlib.metadata import PackageNotFoundError, requires  # only an error needs it, and it is slow to import

    try:
        return requires("pixprompt") or []
    except PackageNotFoundError:  # run from its source, without being installed
        return []
