"""The diagnosis of a data set before anything is spent on it."""
