"""The file of a unix socket: one server's at a time, for its user and group, and gone at its end.

    lock taken ── a dead server's socket removed ── bound ── mode set ── listens ── … ── removed ── lock let go

Without the lock, of two servers that start at once one would take the other's new socket for a dead one, since nobody
answers there yet. It knows no connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from dnsd.errors import StartError

# Who may connect: dnsd's user, and the group of the file: dnsd's, or that of a folder with the set-group-ID bit.
SOCKET_MODE = 0o660


@contextlib.contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """Give a socket that is bound and does not listen yet: nobody connects before the mode is set.

    Raises:
        StartError: another server has it, there is a file that is no dead server's socket, or none can be made.
    """
    with _locked(path), contextlib.closing(_made(path)) as sock:
        made = os.lstat(path)
        try:
            yield sock
        finally:
            _remove(path, made)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Have the lock beside a socket, which ends with the process at the latest."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        if not _is_ours(fd):
            raise _taken(path)
        yield
    finally:
        os.close(fd)  # the file stays: to remove it would let two lock two files of one name


def _is_ours(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _made(path: Path) -> socket.socket:
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        path.chmod(SOCKET_MODE)
    except OSError as error:
        sock.close()
        raise _cannot(path, error) from None
    return sock


def _clear(path: Path) -> None:
    """Remove the socket of a server that is dead, and of no other: who listens may know nothing of the lock."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartError(f"cannot listen on {path}: there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    except BlockingIOError:  # alive, with a full queue
        pass
    except OSError as error:
        raise _cannot(path, error) from None
    raise _taken(path)


def _remove(path: Path, made: os.stat_result) -> None:
    """Remove the file of a socket, where it still is that one."""
    with contextlib.suppress(FileNotFoundError):
        now = path.lstat()
        if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()


def _taken(path: Path) -> StartError:
    return StartError(f"cannot listen on {path}: another server does")


def _cannot(path: Path, error: OSError) -> StartError:
    if isinstance(error, FileNotFoundError):
        return StartError(f"cannot listen on {path}: there is no folder {path.parent}")
    return StartError(f"cannot listen on {path}: {error.strerror or error}")
