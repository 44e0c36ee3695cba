"""The settings of a run, what they default to, and which go together."""
