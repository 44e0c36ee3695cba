"""Models behind an API: protocols, transport, pace, retry. The only place that imports requests."""
