"""A zip that anybody may have made: the number of its entries limited, its damage one error."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from typing import BinaryIO, Final

ZIP_BEGINNING: Final = b"PK\x03\x04"
ZIP_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, LookupError, OverflowError),
)
"""The errors of Python's `zipfile` for damage, passwords and unknown methods."""
_ENTRY: Final = b"PK\x01\x02"
_READ_BYTES: Final = 1 << 20


class TooManyEntriesError(Exception):
    """A zip with more entries than are allowed."""


def open_zip(file: BinaryIO, max_entries: int) -> zipfile.ZipFile:
    """Open a zip for reading; its entries are counted before Python makes an object of each.

    Raises:
        TooManyEntriesError: it has more than `max_entries`.
        OSError: it can't be read; one of `ZIP_ERRORS`: it is damaged.
    """
    count, end = 0, b""
    while piece := file.read(_READ_BYTES):
        count += (end + piece).count(_ENTRY)
        end = piece[-len(_ENTRY) + 1 :]
        if count > max_entries:
            raise TooManyEntriesError(max_entries)
    file.seek(0)
    return zipfile.ZipFile(file)
