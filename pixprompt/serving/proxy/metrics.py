"""What a proxy counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ..messages import Response

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """Counters of one proxy.

    Args:
        under_way: Returns how many requests are worked on.

    Attributes:
        requests: Requests by form and outcome: prompted, passed or refused.
        images: Prompted images by form.
        replies: Replies by the status code of the model's server; "none" where none came.
        own_seconds: Seconds to prompt the images of a request.
        upstream_seconds: Seconds from sending a request to the end of its reply.
    """

    def __init__(self, under_way: Callable[[], int]) -> None:
        registry = self._registry = CollectorRegistry()
        prefix = "pixprompt_proxy"
        self.requests = Counter(
            f"{prefix}_requests", "Requests by form and outcome.", ("form", "outcome"), registry=registry
        )
        self.images = Counter(f"{prefix}_images", "Images that were prompted.", ("form",), registry=registry)
        self.replies = Counter(f"{prefix}_replies", "Replies of the server behind.", ("status",), registry=registry)
        self.own_seconds = Histogram(
            f"{prefix}_own_seconds", "Prompting the images of a request.", buckets=_SECONDS, registry=registry
        )
        self.upstream_seconds = Histogram(
            f"{prefix}_upstream_seconds", "Waiting for the server behind.", buckets=_SECONDS, registry=registry
        )
        gauge = Gauge(f"{prefix}_requests_under_way", "Requests that are worked on.", registry=registry)
        gauge.set_function(under_way)

    def response(self) -> Response:
        """Returns all of them in the format of Prometheus."""
        return Response(200, generate_latest(self._registry), {"Content-Type": CONTENT_TYPE_LATEST})
