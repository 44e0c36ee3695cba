"""Models by family: where their nets and weights come from."""
