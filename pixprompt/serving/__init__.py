"""A local model as an endpoint of the Open Inference Protocol v2."""
