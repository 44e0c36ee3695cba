"""Studies: the same run over several settings and seeds."""
