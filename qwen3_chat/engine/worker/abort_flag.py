"""The flag that stops llama.cpp in the middle of its work, and the error that is raised then.

A module of its own that imports nothing: nine modules use it, some of them before llama_cpp may be imported.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any


class AbortFlag:
    """A flag that C code reads without Python: a C string, empty until the flag is set."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Set the flag, for good."""
        self._text[0] = b"\1"

    def is_set(self) -> bool:
        """Return True once the flag is set."""
        return self._text[0] != b"\0"

    @property
    def pointer(self) -> ctypes.c_void_p:
        """The argument of the callback that `abort_callback` returns; valid as long as this object lives."""
        return ctypes.cast(self._text, ctypes.c_void_p)


class AbortedError(Exception):
    """The error of work that the abort flag stopped; what was evaluated before stays in the cache."""


def abort_callback(callback_type: Any) -> Any:
    """Return C's `strlen` as a callback: true for a flag that is set.

    A callback in Python would be called some 540 times per token and need the interpreter's lock each time.
    """
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(library.strlen, callback_type)
