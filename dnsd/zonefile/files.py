"""Reads a file that an operator has named, whatever it may turn out to be.

It knows nothing of what the file says.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dnsd.openfiles import reason

# Ten million records are about as much; what is larger was named by mistake. Unit: bytes.
MAX_FILE_SIZE = 1 << 30

# A named pipe that becomes the file between the two looks must not hold the reader until somebody writes to it.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; links are followed.

    Raises:
        OSError: it cannot be read, is larger than `MAX_FILE_SIZE`, or is a folder, a pipe, a socket or a device, of
            which reading might never end; `strerror` says which.
        ValueError: the path holds what no path can.
    """
    # Looked at before it is opened: to open a device may already do something.
    _refuse_irregular(path.stat(), path)
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _refuse_irregular(os.fstat(file.fileno()), path)
        return file.read()


def why_unreadable(error: Exception) -> str:
    """Return the reason of an error of `read_regular` without the path."""
    return reason(error) if isinstance(error, OSError) else str(error)


def _refuse_irregular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if status.st_size > MAX_FILE_SIZE:
        raise OSError(errno.EFBIG, f"it has more than {MAX_FILE_SIZE} bytes", str(path))
