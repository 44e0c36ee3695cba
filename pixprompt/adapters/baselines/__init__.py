"""The baselines of the VPT and SA²VP papers: other white-box methods."""
