"""Frozen backbones, seen from inside: what token prompts, adapters and probes reach into, without changing it."""

from .vit import Layer, ViT

__all__ = ["Layer", "ViT"]
