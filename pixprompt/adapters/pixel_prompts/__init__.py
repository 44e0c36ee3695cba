"""Pixel prompts of further papers: each a file."""
