"""The form of the first answer, which all others have to keep to before they are kept: a ledger forgets nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..core import ConfigError, ModelError
from ..replies.parse import Reply
from ..replies.readers import Reader
from .messages import FaultKind, Incoming, ItemFault, Outgoing, Picture
from .protocol import Protocol

__all__ = ["KeptForm"]


class KeptForm:
    """What is known about the form of answers; for any number of threads.

    Args:
        reader_for: Chooses how to read answers by the first one.
    """

    def __init__(self, reader_for: Callable[[Reply], Reader]) -> None:
        self._reader_for = reader_for
        self._reader: Reader | None = None
        self._lock = threading.Lock()

    def of(self, protocol: Protocol) -> Protocol:
        """Returns a protocol by which answers of another form are failures of their image."""
        return _Keeping(protocol, self)

    def fault(self, reply: Reply) -> ItemFault | None:
        """Says what is wrong with the form of an answer; the first one tells it."""
        try:
            with self._lock:
                if self._reader is None:
                    self._reader = self._reader_for(reply)
            self._reader.check(reply)
        except ConfigError:
            return None  # what was said about the endpoint is wrong, not the answer; whoever reads it will say so
        except ModelError as error:
            return ItemFault(str(error), FaultKind.GARBLED)
        return None


class _Keeping(Protocol):
    """A protocol whose answers keep to a form."""

    def __init__(self, protocol: Protocol, form: KeptForm) -> None:
        super().__init__(protocol.endpoint)
        self._protocol, self._form = protocol, form

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        return self._protocol.request(pictures)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        found = self._protocol.read(incoming, count)
        if len(found) != count:
            return found  # none of it will be kept
        return [item if isinstance(item, ItemFault) else self._form.fault(item) or item for item in found]
