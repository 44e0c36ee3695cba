"""The ways of learning: by gradients, by a grid search, by answers, by views."""
