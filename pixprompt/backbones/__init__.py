"""Frozen backbones in parts, for token prompts, adapters and probes; nothing of them is changed."""

from .vit import Layer, ViT

__all__ = ["Layer", "ViT"]
