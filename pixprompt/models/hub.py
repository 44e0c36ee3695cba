"""Letting other libraries load from a hub: quietly, and with a quick and clear answer where there is none."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..core import ModelError, PixpromptError
from ..urls import reachable

__all__ = ["building", "hugging_face", "reachable"]


@contextmanager
def building(what: str, remedy: str) -> Iterator[None]:
    """Silences the libraries that build a net, keeps them off the global generator, and words their failures.

    Args:
        what: What is being loaded, for the message.
        remedy: How to do without.

    Raises:
        ModelError: The library failed; its own reason is in the message.
    """
    with _quiet(), torch.random.fork_rng(devices=[]):
        try:
            yield
        except PixpromptError:
            raise
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            reason = str(error).split("\n")[0][:300].rstrip(".")
            raise ModelError(f"cannot load {what}: {reason}. {remedy}") from error


@contextmanager
def hugging_face(what: str, remedy: str) -> Iterator[None]:
    """Loads from the Hugging Face hub or its cache; from the cache alone where the hub cannot be reached.

    Without this the client tries again for most of a minute before it gives up.

    Raises:
        ModelError: As `building`; where nothing but the missing hub is the reason, it says so.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        with building(what, remedy):
            yield
    except ModelError as error:
        if constants.HF_HUB_OFFLINE and _is_hub_missing(error):
            reason = f"{constants.ENDPOINT} cannot be reached, and its local cache does not hold them"
            raise ModelError(f"cannot load {what}: {reason}. {remedy}") from error
        raise
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_hub_missing(error: BaseException) -> bool:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    link: BaseException | None = error
    while link is not None:
        if isinstance(link, LocalEntryNotFoundError | OfflineModeIsEnabled):
            return True
        link = link.__cause__ or link.__context__
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    # A library that logs before logging is set up would otherwise install a handler for the whole process.
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)
