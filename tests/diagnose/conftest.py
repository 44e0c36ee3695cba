"""The toy task of the engine."""

from ..engine.conftest import blank_pictures, data, model, net

__all__ = ["blank_pictures", "data", "model", "net"]
