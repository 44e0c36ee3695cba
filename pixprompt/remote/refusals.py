"""Requests that are refused: which of their images it is about, and when it is not about the images at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core import EndpointError

__all__ = ["IN_A_ROW", "ImageRefused", "RefusalPolicy"]

IN_A_ROW = 5
"""So many refused images, and none between them that was answered, are not the fault of the images."""

Part = list[int]


class ImageRefused(EndpointError):
    """The endpoint refuses a request for what is in it; other images, or each of these alone, it may answer.

    Args:
        part: Positions of the images of the request, among those that are queried.
    """

    def __init__(self, reason: str, part: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.part = part


class RefusalPolicy:
    """Gets the other images answered where an endpoint refuses some, and counts how many it refuses in a row."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def query(
        self, parts: list[Part], send: Callable[[list[Part]], None], answered: Callable[[Sequence[int]], set[int]]
    ) -> list[tuple[int, str]]:
        """Sends requests until each image is answered, or was refused in a request of its own.

        Args:
            parts: Positions of images, a list per request.
            send: Sends requests; raises ImageRefused where one is refused.
            answered: Tells which of some images have been answered.

        Returns:
            The images that are refused, and why.

        Raises:
            EndpointError: Several images in a row are refused.
        """
        refused: dict[int, str] = {}
        num_at_once = len(parts)
        while parts:
            try:
                send(parts[:num_at_once])
                self._in_a_row = 0
                parts, num_at_once = parts[num_at_once:], len(parts)
            except ImageRefused as error:
                num_at_once = 1  # until one is answered: if it is the endpoint, that costs no more than it must
                if any(answered(part) for part in parts):
                    self._in_a_row = 0
                if len(error.part) == 1:
                    self._in_a_row += 1
                    refused[error.part[0]] = str(error)
                if self._in_a_row >= IN_A_ROW:
                    raise EndpointError(
                        f"{error} {IN_A_ROW} images in a row were refused, so it is not they."
                    ) from None
                rest = [*([index] for index in error.part), *(part for part in parts if part != error.part)]
                unanswered = (
                    [index for index in part if index not in answered(part) | refused.keys()] for part in rest
                )
                parts = [part for part in unanswered if part]
        return list(refused.items())
