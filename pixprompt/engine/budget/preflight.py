"""What is said before the first request to a remote model, and what is known about its answers afterwards."""

from __future__ import annotations

from ...remote import RemoteJournal
from ...remote.http.secrets import plain_url
from ..opening import PRICE
from ..report import Reporter
from .plan import cost

__all__ = ["UNANSWERED", "announce", "notes_of"]

UNANSWERED = "left without an answer"


def announce(
    journal: RemoteJournal,
    num_images: int,
    reporter: Reporter,
    *,
    rate: float | None = None,
) -> None:
    """Says who will be asked about how much, at what price, and after the first answer, how long that may take.

    Args:
        journal: Who asks.
        num_images: The most that it will be asked.
        reporter: Is told.
        rate: The most images per second.
    """
    requests, url = journal.num_requests(num_images), plain_url(journal.model.protocol.endpoint.url)
    price = journal.ledger.read_meta(PRICE)
    paid = cost(num_images, float(price) if price else None)
    costs = "" if paid is None else f", cost {paid:g}"
    reporter.note(f"asks {url} about up to {num_images} images ({requests} requests or more{costs})")
    reporter.note(f"queries are written to {journal.ledger.path}")
    at_once = journal.chunk // journal.model.max_batch
    if at_once < journal.concurrency:
        reporter.note(f"requests are so large that no more than {at_once} are under way at the same time")

    def tell(seconds: float) -> None:
        total = max(seconds * requests / journal.concurrency, num_images / rate if rate else 0.0)
        reporter.note(f"the first answer took {seconds:.2f} s: about {total:.0f} s for {requests} requests")

    journal.on_first = tell


def notes_of(journal: object) -> list[str]:
    """Returns what a person should know about what a model left unanswered; nothing of local ones."""
    return journal.notes if isinstance(journal, RemoteJournal) else []
