"""Learning from answers alone: transforms, cascades, students, and the search for pixels."""
