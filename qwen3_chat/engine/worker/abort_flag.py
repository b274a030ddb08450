"""The flag that stops llama.cpp in the midst of its work, and the error that follows from it."""

from __future__ import annotations

import ctypes
import sys
from typing import Any


class AbortFlag:
    """A flag that C code reads without Python: a C string, empty until the flag is raised."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Raise the flag; it stays up."""
        self._text[0] = b"\1"

    def is_set(self) -> bool:
        """Tell whether the flag is raised."""
        return self._text[0] != b"\0"

    @property
    def pointer(self) -> ctypes.c_void_p:
        """What `abort_callback` is to be called with; valid as long as this object lives."""
        return ctypes.cast(self._text, ctypes.c_void_p)


class AbortedError(Exception):
    """The abort flag went up; what was evaluated before stays."""


def abort_callback(callback_type: Any) -> Any:
    """Return C's `strlen` as a callback: true for a raised flag.

    A callback in Python would be called some 540 times a token and need the interpreter's lock each time.
    """
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(library.strlen, callback_type)
