"""The toy task of the engine."""

from ..engine.conftest import blank_pictures, config, data, model, net

__all__ = ["blank_pictures", "config", "data", "model", "net"]
