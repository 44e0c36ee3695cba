"""Many requests: batches, attempts, faults, rate limits."""
