"""The figures of the SA²VP paper, for any methods inside one model."""
