"""The system calls that jailed code may make, as a filter that the kernel runs for each of them (seccomp).

It is a list of what is allowed: a call that a later kernel adds is refused without a change here. The numbers
are those of x86-64; on other machines there is no filter, and so no jail.

Landlock decides which files can be opened, but it does not look at changes of a file's owner, mode and times,
nor, before its version 3, at truncating; those are not allowed here at all. Changes of mode and times do
nothing and succeed, since much code that copies files makes them in passing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from typing import Final

Instruction = tuple[int, int, int, int]
"""An instruction of the filter: operation, steps to skip if true, if false, operand."""

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW: Final = (_RETURN, 0, 0, 0x7FFF0000)
_KILL: Final = (_RETURN, 0, 0, 0x80000000)
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X86_64: Final = 0xC000003E
_FIRST_X32_NUMBER: Final = 0x40000000
_FIRST_UNKNOWN_NUMBER: Final = 463
"""The number after the newest call that this list was made with."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 38, 22, 2

_FILES: Final = (
    *(0, 1, 3, 4, 5, 6, 7, 8, 17, 18, 19, 20, 21, 40, 73, 74, 75, 77, 78, 79, 80, 81, 82, 83, 84, 85, 87, 89),
    *(95, 137, 138, 187, 191, 192, 193, 194, 195, 196, 217, 221, 258, 262, 263, 264, 267, 269, 277, 285, 295),
    *(296, 316, 326, 327, 328, 332, 439),
)
"""Reading and writing what is open, and names below a folder: from `read` to `statx`."""
_MEMORY: Final = (9, 10, 11, 12, 25, 26, 27, 28, 325)
_DESCRIPTORS: Final = (
    *(22, 23, 32, 33, 213, 232, 233, 270, 271, 281, 284, 290, 291, 292, 293, 436, 441),
    *(283, 286, 287),
)
"""Pipes, polling, events and timers of this process."""
_OWN_SIGNALS: Final = (13, 14, 15, 34, 36, 37, 38, 127, 128, 130, 131)
_TIME: Final = (35, 96, 100, 201, 228, 229, 230)
_FACTS: Final = (
    *(
        39,
        63,
        97,
        98,
        99,
        102,
        104,
        107,
        108,
        110,
        111,
        115,
        118,
        120,
        121,
        124,
        125,
        140,
        145,
        186,
        204,
        309,
    ),
    318,
)
"""Facts about the process and the machine: from `getpid` to `getrandom`."""
_THREADS: Final = (24, 60, 61, 202, 218, 219, 231, 273, 274, 324, 334, 449)
_CONNECTED_PAIR: Final = (45, 48, 54, 55)
"""Reading from, closing and asking about the two ends of a `socketpair`, which asyncio wakes itself with."""

ALLOWED: Final = frozenset(
    _FILES + _MEMORY + _DESCRIPTORS + _OWN_SIGNALS + _TIME + _FACTS + _THREADS + _CONNECTED_PAIR
)
"""The numbers of the calls that are allowed whatever their arguments are."""

PRETENDED: Final = frozenset({90, 91, 132, 235, 261, 268, 280, 452})
"""The numbers of the calls that succeed and do nothing: modes and times of files."""

_OPEN, _OPENAT, _IOCTL, _FCNTL, _PRCTL, _PRLIMIT = 2, 257, 16, 72, 157, 302
_CLONE, _CLONE3, _KILL_PROCESS, _KILL_THREAD, _SOCKETPAIR, _SENDTO = 56, 435, 62, 234, 53, 44

_CLONE_THREAD: Final = 0x10000
_TRUNCATE_READ_ONLY, _TRUNCATE_OR_WRITE = os.O_TRUNC, os.O_TRUNC | 3
_AF_UNIX: Final = 1
_TERMINAL_QUESTIONS: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""The requests of `ioctl` that ask or change what belongs to one descriptor; not one that types into it."""
_SENDS_SIGNALS: Final = (8, 10, 15, 1024, 1026)
"""The commands of `fcntl` by which the kernel signals a process, or that hold up another one."""
_HARMLESS_OPTIONS: Final = (3, 15, 16, 21, 23, 39, 0x53564D41)
"""The options of `prctl` that ask, or name a thread or memory."""


def filter_program(pid: int) -> tuple[Instruction, ...]:
    """Return the filter for a process; signals may go to itself only."""
    refuse = _refuse(errno.EPERM)
    program: list[Instruction] = [
        _load(_ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _X86_64),
        _KILL,
        _load(_NUMBER_AT),
        (_JUMP_GREATER_EQUAL, 0, 1, _FIRST_X32_NUMBER),
        refuse,
    ]
    for number in sorted(ALLOWED):
        program += [(_JUMP_EQUAL, 0, 1, number), _ALLOW]
    for number in sorted(PRETENDED):
        program += [(_JUMP_EQUAL, 0, 1, number), _refuse(0)]
    program += _case(_CLONE, [_load_argument(0), (_JUMP_ANY_BIT, 0, 1, _CLONE_THREAD), _ALLOW, refuse])
    program += _case(_CLONE3, [_refuse(errno.ENOSYS)])  # its flags are out of reach; libc then uses `clone`
    program += _case(_KILL_PROCESS, _if_argument(0, [pid], otherwise=refuse))
    program += _case(_KILL_THREAD, _if_argument(0, [pid], otherwise=refuse))
    program += _case(_SOCKETPAIR, _if_argument(0, [_AF_UNIX], otherwise=refuse))
    program += _case(_SENDTO, _if_zero(4, refuse))
    program += _case(_PRLIMIT, _if_zero(2, refuse))
    program += _case(_PRCTL, _if_argument(0, _HARMLESS_OPTIONS, otherwise=refuse))
    program += _case(_IOCTL, _if_argument(1, _TERMINAL_QUESTIONS, otherwise=_refuse(errno.ENOTTY)))
    program += _case(_FCNTL, _if_argument(1, _SENDS_SIGNALS, then=refuse, otherwise=_ALLOW))
    for number, flags in ((_OPEN, 1), (_OPENAT, 2)):
        truncates = [(_AND, 0, 0, _TRUNCATE_OR_WRITE), (_JUMP_EQUAL, 0, 1, _TRUNCATE_READ_ONLY)]
        program += _case(number, [_load_argument(flags), *truncates, refuse, _ALLOW])
    return (
        *program,
        (_JUMP_GREATER_EQUAL, 0, 1, _FIRST_UNKNOWN_NUMBER),
        _refuse(errno.ENOSYS),  # libc then does without
        refuse,
    )


def give_up_new_privileges() -> None:
    """See to it that no program that this process starts gets more rights than it has.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)


def install_filter(program: Sequence[Instruction]) -> None:
    """Have the kernel filter the calls of this thread, and of all that it starts, for good.

    Raises:
        OSError: the kernel refuses.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    _prctl(
        _PR_SET_SECCOMP,
        _SECCOMP_FILTER,
        ctypes.c_char_p(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))),
    )


def _prctl(option: int, first: int, second: int | ctypes.c_char_p) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    value = ctypes.c_ulong(second) if isinstance(second, int) else second
    if libc.prctl(option, ctypes.c_ulong(first), value, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _load_argument(index: int, *, upper_half: bool = False) -> Instruction:
    return _load(_ARGUMENTS_AT + 8 * index + (4 if upper_half else 0))


def _refuse(number: int) -> Instruction:
    """Return the end of a call that does nothing and fails with an error number, or succeeds with 0."""
    return (_RETURN, 0, 0, 0x00050000 | number)


def _case(number: int, body: Sequence[Instruction]) -> list[Instruction]:
    """Return what is done for a call; the body ends in all its branches."""
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _if_argument(
    index: int, values: Sequence[int], *, otherwise: Instruction, then: Instruction = _ALLOW
) -> list[Instruction]:
    steps = [step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), then)]
    return [_load_argument(index), *steps, otherwise]


def _if_zero(index: int, otherwise: Instruction) -> list[Instruction]:
    """Return the check that an argument of 64 bits, an address, is zero."""
    return [
        _load_argument(index),
        (_JUMP_EQUAL, 0, 2, 0),
        _load_argument(index, upper_half=True),
        (_JUMP_EQUAL, 1, 0, 0),
        otherwise,
        _ALLOW,
    ]
