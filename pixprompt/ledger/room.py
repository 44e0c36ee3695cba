"""Room on the disk that a file has before it needs it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["allocate"]

_STEP = 1 << 18
"""Bytes that are set aside beyond what is wanted, so that not every request does it."""
_KEEP_SIZE = 1
_UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def allocate(file: int, num_bytes: int, folder: Path) -> None:
    """Makes sure that a file can grow.

    On Linux the blocks behind its end become its own, so that nobody else can take them. Where the system or the file
    system cannot do that, the disk only has to have as much free.

    Args:
        file: A descriptor, open for writing.
        num_bytes: How much will be appended.

    Raises:
        OSError: The disk is too full.
    """
    status = os.fstat(file)
    if getattr(status, "st_blocks", 0) * 512 - status.st_size >= num_bytes:
        return
    reason = _fallocate(file, status.st_size + num_bytes + _STEP)
    if reason == errno.ENOSPC:
        reason = _fallocate(file, status.st_size + num_bytes)
    if reason in _UNSUPPORTED and shutil.disk_usage(folder).free < num_bytes:
        reason = errno.ENOSPC
    if reason not in (0, *_UNSUPPORTED):
        raise OSError(reason, os.strerror(reason))


def _fallocate(file: int, num_bytes: int) -> int:
    """Allocates a file up to that length without making it longer; returns the system's number of the error, or 0."""
    function = _library_function(sys.platform)
    if function is None:
        return errno.ENOSYS
    import ctypes

    while True:
        if function(file, _KEEP_SIZE, 0, num_bytes) == 0:
            return 0
        reason = ctypes.get_errno()
        if reason != errno.EINTR:
            return reason


@cache
def _library_function(platform: str) -> Any:
    """Returns fallocate(2), which Python does not offer; None where it is not there."""
    if platform != "linux" or sys.maxsize < 1 << 32:
        return None
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return function
