"""Prompts on many images: what is read, where the results go, and who does the work. No torch import."""
