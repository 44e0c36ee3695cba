"""A model behind an API, as the rest of the package knows models; what its answers are is learned from the first."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..canvas.encoding import JPEG_QUALITY, encoder_of
from ..core import Access, AnswerKind, ConfigError, Model, ModelError, ModelSpec, NamedSpec
from ..ledger.journal import keys_of
from ..ledger.reply_ledger import Skipped, StoredReply
from ..replies.parse import Reply
from ..replies.readers import Reader, Rows, is_distribution, reader_for
from ..replies.vocabulary import OTHER
from ..tensor_checks import check_images, to_pixels
from .calls.attempts import MeteredSender, UnloggedAttempts
from .calls.clock import Clock
from .calls.rate_limit import RateLimit
from .calls.retry import Caller, Quota, RetryPolicy, Sender
from .messages import FaultKind, Incoming, ItemFault, Outgoing, Picture
from .protocol import Declared, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AnswerForm", "RemoteModel", "endpoint_of", "largest_batch"]

_SIDE = 224
_LOSSLESS = "png"
_COMPLETE = (AnswerKind.LOGITS, AnswerKind.PROBABILITIES)
_BATCH = 8
"""Images per request where neither the endpoint nor its protocol says: few are lost with one request."""


class RemoteModel:
    """A model behind an API: scores only, images as 8-bit files or numbers, every one of them paid for.

    Building it costs no query. Its spec is provisional until the first answer is read: then `reader_for`
    sees what form the answers have. Labels that are found as answers arrive make its rows wider at their end.

    Args:
        protocol: Knows the form of requests and replies, and the endpoint.
        sender: Transport to the endpoint.
        declared: What the endpoint says about itself.
        rate_limit: Limit of images per second; None for no limit until there is a throttle.

    Raises:
        ConfigError: An encoding of files is wanted, and numbers are sent.

    Attributes:
        sender: The transport, with the length of the last request.
        max_batch: The most images per request.
    """

    def __init__(
        self,
        name: str,
        protocol: Protocol,
        sender: Sender,
        declared: Declared,
        *,
        rate_limit: RateLimit | None = None,
        retry_policy: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        endpoint = protocol.endpoint
        self.protocol, self.sender = protocol, MeteredSender(sender)
        self._rate_limit, self._retry_policy = rate_limit or RateLimit(clock=clock), retry_policy or RetryPolicy()
        self._quota, self._clock = Quota(), clock or Clock()
        # For the waits between retries alone: clients that fail together must not come back together.
        self._generator = np.random.default_rng(int.from_bytes(os.urandom(8), "big"))
        self._encode, self._media_type = encoder_of(endpoint.encoding)
        if not protocol.sends_files and endpoint.encoding != _LOSSLESS:
            raise ConfigError(
                f"images go to {name} as numbers and not as files: leave out the encoding {endpoint.encoding!r}, or "
                "choose an input that takes files."
            )
        self.max_batch = largest_batch(protocol, declared)
        labels = endpoint.labels if endpoint.labels is not None else declared.labels
        self._declared = declared
        self._answer = endpoint.answer or declared.answer
        self._num_outputs = declared.num_outputs
        self._labels = labels
        self._spec = ModelSpec(name, endpoint.image_size or declared.image_size or (_SIDE, _SIDE), 0)
        self._reader: Reader | None = None
        self._form = AnswerForm(self._reader_for)
        self._expected: list[str] = []
        self._earlier: tuple[tuple[str, ...], bool] | None = None
        self._assumed: AnswerKind | None = None

    @property
    def spec(self) -> ModelSpec:
        """What a caller must know; labels, outputs and what they are may change with the first answer."""
        if self._reader is not None:
            reader = self._reader
            return replace(self._spec, num_outputs=reader.num_outputs, answer=reader.answer, labels=reader.labels)
        labels = self._earlier[0] if self._earlier else self._labels
        return replace(
            self._spec,
            num_outputs=len(labels) if labels else self._num_outputs or 0,
            answer=self._answer or self._assumed or AnswerKind.LOGITS,
            labels=labels,
        )

    @property
    def access(self) -> Access:
        """Always SCORES."""
        return Access.SCORES

    @property
    def identity(self) -> str:
        """What, besides the image, its answers depend on; part of the key of every query."""
        encoding = "pixels"
        if self.protocol.sends_files:
            encoding = f"jpeg {JPEG_QUALITY} 4:4:4" if self._media_type == "image/jpeg" else "png"
        return json.dumps({"encoding": encoding, **self.protocol.facts()}, sort_keys=True)

    @property
    def digest(self) -> str:
        """A short name of the identity."""
        return hashlib.sha256(self.identity.encode()).hexdigest()[:16]

    @property
    def known(self) -> bool:
        """Whether it is known how many outputs there are."""
        return self.spec.num_outputs > 0

    @property
    def open(self) -> bool:
        """Whether its outputs may still become others."""
        if self._reader is None:
            return self._earlier is None or not self._earlier[1]
        return self._reader.vocabulary is not None and self._reader.vocabulary.open

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The labels so far; none where the outputs have no names."""
        return self.spec.labels or ()

    @property
    def max_labels(self) -> int:
        """Labels of the caller's choice that it can be queried about at a time; 0 where they are the endpoint's own."""
        return self.protocol.max_labels

    def with_labels(self, labels: Sequence[str]) -> RemoteModel:
        """Returns the same endpoint, queried about these labels."""
        declared = replace(self._declared, labels=tuple(labels), num_outputs=len(labels))
        return RemoteModel(
            self._spec.name,
            self.protocol.with_labels(labels),
            self.sender,
            declared,
            rate_limit=self._rate_limit,
            retry_policy=self._retry_policy,
            clock=self._clock,
        )

    def close_vocabulary(self) -> None:
        """Ends the growth of the vocabulary: labels that are new from now on count as "(other)"."""
        if self._reader is not None and self._reader.vocabulary is not None:
            self._reader.vocabulary.close()

    def expect(self, classes: Iterable[str]) -> None:
        """Adds names that sentences may mention to an open vocabulary of texts; otherwise does nothing."""
        self._expected += classes
        self._tell_expected()

    def restore(self, labels: Sequence[str], closed: bool) -> None:
        """Takes over the labels of an earlier session, before the first answer.

        Raises:
            ModelError: The model has other labels.
        """
        own = dict.fromkeys(self._labels or ())
        if own and tuple(labels) not in (tuple(own), tuple({**own, OTHER: None})):
            raise ModelError(
                f"model {self._spec.name!r} has {len(own)} labels, and not the {len(labels)} that were recorded for "
                "it; give the labels of that time, in the same order."
            )
        self._earlier = tuple(labels), closed

    def assume(self, num_outputs: int, answer: AnswerKind) -> None:
        """Takes over what the answers were when a prompt was learned, before the first answer; it is checked then."""
        self._num_outputs, self._assumed = num_outputs, answer

    def learn_form(self, replies: Iterable[StoredReply | None]) -> None:
        """Learns the form of answers from stored ones, so that new ones have to keep to it."""
        for reply in replies:
            if reply is not None and not isinstance(reply, Skipped):
                self._form.fault(reply)

    def caller(self) -> Caller:
        """Returns a new caller, so that it can be stopped, with the rate limit and the quota of this model.

        What comes in another form than the first answer counts as failed, and is sent again.
        """
        return Caller(
            self._form.of(self.protocol),
            self.sender,
            generator=self._generator,
            rate_limit=self._rate_limit,
            retry_policy=self._retry_policy,
            quota=self._quota,
            clock=self._clock,
        )

    def picture(self, pixels: npt.NDArray[np.uint8]) -> Picture:
        """Returns an image (H, W, 3) as it is sent."""
        content = self._encode(pixels) if self.protocol.sends_files else b""
        return Picture(pixels, content, self._media_type)

    def keys(self, canvases: npt.NDArray[np.uint8]) -> list[bytes]:
        """Returns the keys of images (N, H, W, 3): of what is sent, whatever version of an encoder packs it."""
        return keys_of(self.identity, canvases)

    def read(self, replies: Sequence[StoredReply]) -> Rows:
        """Returns replies as rows (N, S); zeros where there is none.

        The order counts where labels are found as they come.

        Raises:
            ModelError: A reply has another form than the first one, or does not go with what is known.
        """
        answered = {index: reply for index, reply in enumerate(replies) if not isinstance(reply, Skipped)}
        if self._reader is None and answered:
            first = next(iter(answered.values()))
            self._reader = self._reader_of(first)
            if isinstance(first, dict):
                self._spec = NamedSpec(**vars(self._spec))
            self._tell_expected()
        own = self._reader.rows(list(answered.values())) if self._reader and answered else None
        rows = np.zeros((len(replies), self.spec.num_outputs), np.float32)
        if own is not None:
            rows[list(answered)] = own
        return rows

    def __call__(self, images: Tensor, /) -> Tensor:
        """Answers images (N, 3, H, W) of 8-bit values without a ledger; see `RemoteJournal` for one that keeps all.

        Raises:
            EndpointError: It refuses, or does not answer.
        """
        import torch

        check_images(images, self._spec.image_size)
        canvases = to_pixels(images).permute(0, 2, 3, 1).contiguous().numpy()
        replies: list[Reply] = []
        caller = self.caller()
        for start in range(0, len(canvases), self.max_batch):
            pictures = [self.picture(canvas) for canvas in canvases[start : start + self.max_batch]]
            replies += caller.query(pictures, UnloggedAttempts())
        return torch.from_numpy(self.read(replies)).to(images.device)

    def _reader_of(self, first: Reply) -> Reader:
        self._check_assumed(first)
        reader = self._reader_for(first)
        if self._earlier is not None and reader.vocabulary is not None:
            reader.vocabulary.restore(*self._earlier)
        return reader

    def _reader_for(self, first: Reply) -> Reader:
        labels, answer = self._labels, self._answer or self._assumed
        if isinstance(first, dict) and answer in _COMPLETE:
            # Not in the order of the first answer, which another session may not have.
            labels = self._earlier[0] if self._earlier else labels or tuple(sorted(first))
        return reader_for(
            first,
            answer=answer,
            labels=labels,
            num_outputs=None if isinstance(first, str | dict) else self._num_outputs,
            name=self._spec.name,
        )

    def _check_assumed(self, first: Reply) -> None:
        unsaid = self._answer is None and self._assumed is AnswerKind.LOGITS
        if unsaid and isinstance(first, np.ndarray) and is_distribution(first):
            raise ModelError(
                f"model {self._spec.name!r} answers with what looks like probabilities, and the prompt was made for "
                'logits. Say which they are: "answer" in the description of the endpoint.'
            )

    def _tell_expected(self) -> None:
        reader = self._reader
        if reader is not None and reader.vocabulary is not None and reader.answer is AnswerKind.LABEL:
            reader.vocabulary.expect(self._expected)
            self._expected = []


def endpoint_of(model: Model) -> RemoteModel | None:
    """Returns a model behind a URL; None for one in this process."""
    return model if isinstance(model, RemoteModel) else None


def largest_batch(protocol: Protocol, declared: Declared) -> int:
    """Returns the most images per request: the least of what the description, the endpoint and the protocol allow."""
    limits = (protocol.endpoint.max_batch, declared.max_batch, protocol.max_batch)
    return min((limit for limit in limits if limit is not None), default=_BATCH)


class AnswerForm:
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
        return _FormChecked(protocol, self)

    def fault(self, reply: Reply) -> ItemFault | None:
        """Says what is wrong with the form of an answer; the first one decides it."""
        try:
            with self._lock:
                if self._reader is None:
                    self._reader = self._reader_for(reply)
            self._reader.check(reply)
        except ConfigError:
            return None  # the description of the endpoint is wrong, not the answer; reading it raises the error
        except ModelError as error:
            return ItemFault(str(error), FaultKind.GARBLED)
        return None


class _FormChecked(Protocol):
    """A protocol whose answers keep to a form."""

    def __init__(self, protocol: Protocol, form: AnswerForm) -> None:
        super().__init__(protocol.endpoint)
        self._protocol, self._form = protocol, form

    def request(self, pictures: Sequence[Picture]) -> Outgoing:
        return self._protocol.request(pictures)

    def read(self, incoming: Incoming, count: int) -> list[Reply | ItemFault]:
        items = self._protocol.read(incoming, count)
        if len(items) != count:
            return items  # none of it will be kept
        return [item if isinstance(item, ItemFault) else self._form.fault(item) or item for item in items]
