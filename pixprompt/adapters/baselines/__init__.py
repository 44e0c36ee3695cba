"""The baselines of the VPT and SA²VP papers: other ways to adapt a model whose inside can be reached."""
