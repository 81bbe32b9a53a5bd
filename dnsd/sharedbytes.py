"""Bytes that never change and that several processes of ours have in memory once.

Owns an anonymous file (memfd), its descriptor and its map. It must not know what the bytes mean, nor how a descriptor
comes to another process. Where the system has no such files, every process has its own copy.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import sys
import weakref

from dnsd.openfiles import NONE_LEFT

# Nobody can write to it any more, cut it or remove its seals: whoever has it mapped meets neither other bytes nor the
# SIGBUS of a page that is gone. Linux alone has them.
_SEALS = ("F_SEAL_WRITE", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")

_numbers = itertools.count(1)


class NothingToShare(OSError):
    """This system gives no memory that processes can share."""


class SharedBytes:
    """Some bytes, in a sealed memfd where there is such a thing.

    Before Python 3.13 a map has a descriptor of its own for as long as it is there: so whoever made the bytes has two,
    and whoever received them one. Later, that is one and none.

    Args:
        data: what holds the bytes.
        fd: of the memfd, which it owns from now on and closes with its own end; None: there is none.

    Attributes:
        view: the bytes.
        number: tells it from every other one that this process has made.
    """

    __slots__ = ("__weakref__", "fd", "number", "view")

    def __init__(self, data: bytes | mmap.mmap, *, fd: int | None = None) -> None:
        self.view = memoryview(data)
        self.number = next(_numbers)
        self.fd = fd
        if fd is not None:
            weakref.finalize(self, os.close, fd)

    @classmethod
    def of(cls, data: bytes | bytearray) -> SharedBytes:
        """Put bytes where other processes can have them as well; a plain copy on a system that has no such place.

        Raises:
            OSError: no descriptor is left, or no room for so many bytes.
        """
        try:
            fd = new_memfd()
        except NothingToShare:
            return cls(bytes(data))
        try:
            write_all(fd, data)
            return cls.sealed(fd)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def sealed(cls, fd: int) -> SharedBytes:
        """Seal a memfd of which no writable map is left, map it and own it.

        Raises:
            OSError, ValueError: that cannot be done, or it is empty; the descriptor stays the caller's.
        """
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in _SEALS))
        return cls(_mapped(fd), fd=fd)

    @classmethod
    def received(cls, fd: int) -> SharedBytes:
        """Map what another process has sealed; this descriptor is closed here, and the map may keep one of its own.

        Raises:
            OSError, ValueError: it cannot be mapped.
        """
        try:
            return cls(_mapped(fd))
        finally:
            os.close(fd)

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return SharedBytes.of, (bytes(self.view),)


def new_memfd() -> int:
    """Return the descriptor of a new, empty memfd, which a program that is executed does not inherit.

    Raises:
        NothingToShare: the system has none.
        OSError: no descriptor is left.
    """
    if not hasattr(os, "memfd_create") or not hasattr(fcntl, "F_ADD_SEALS"):
        raise NothingToShare("this system has no memory to share")
    try:
        return os.memfd_create("dnsd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno in NONE_LEFT:  # which is for an operator to mend, and no want of memfds
            raise
        raise NothingToShare(*error.args) from error


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write bytes at the place where a file stands; a system takes no more than 2 GiB at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _mapped(fd: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ, trackfd=False)
    return mmap.mmap(fd, 0, prot=mmap.PROT_READ)
