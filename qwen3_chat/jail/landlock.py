"""Landlock of Linux: a process gives up the access to all files but a few, for good and without root.

Source: the kernel's `Documentation/userspace-api/landlock.rst`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_FIRST_RIGHTS: Final = (1 << 13) - 1
_LATER_RIGHTS: Final = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
_NETWORK_VERSION, _SCOPE_VERSION = 4, 6
_ALL_NETWORK, _ALL_SCOPES = 0b11, 0b11

_READING: Final = _READ_FILE | _READ_DIR
_WRITING: Final = (
    _READING | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
)
_ON_FILES: Final = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
"""The rights that a file can have; the others are those of folders."""

Syscall = Callable[..., int]
"""A function that makes a system call; a negative result is a failure, told by `ctypes.get_errno`."""


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call, with integers and buffers as arguments."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(
        ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    )
    return result


def landlock_version(syscall: Syscall = system_call) -> int:
    """Return the version of Landlock in the running kernel; 0 where it has none or it is switched off."""
    return max(0, syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def restrict_files(readable: Iterable[str], writable: Iterable[str], syscall: Syscall = system_call) -> None:
    """Leave this thread, and what it starts, only what is below these paths; missing ones are skipped.

    The process must have no other thread yet, and must have given up new privileges.

    Raises:
        OSError: the kernel refuses; nothing is restricted.
    """
    version = landlock_version(syscall)
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = _FIRST_RIGHTS
    for since, right in _LATER_RIGHTS:
        handled |= right if version >= since else 0
    fields = [handled]
    if version >= _NETWORK_VERSION:
        fields.append(_ALL_NETWORK)
    if version >= _SCOPE_VERSION:
        fields.append(_ALL_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _checked(syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0))
    try:
        for paths, rights in ((readable, _READING), (writable, _WRITING)):
            for path in paths:
                _add_rule(ruleset, path, rights & handled, syscall)
        _checked(syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _add_rule(ruleset: int, path: str, rights: int, syscall: Syscall) -> None:
    try:
        location = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if Path(path).is_dir() else rights & _ON_FILES
        rule = struct.pack("=Qi", allowed, location)
        _checked(syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.c_char_p(rule), 0))
    finally:
        os.close(location)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
