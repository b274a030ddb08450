"""The unpacking of a compressed body, a piece at a time, so that a small piece can't fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

UNPACKED_PIECE_BYTES = 64 * 1024
"""The limit for one unpacked piece."""
REQUEST_ENCODING = "identity"
"""The `Accept-Encoding` of all requests, because packing delays the pieces of a reply."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class UnpackingError(Exception):
    """A body that is damaged, or packed in a way that was not asked for and is not known."""


class BodyUnpacker:
    """An unpacker of what a server or a proxy packed unasked, with gzip or deflate."""

    def __init__(self, content_encoding: str) -> None:
        """Create the unpacker for the value of a `Content-Encoding` header.

        Raises:
            UnpackingError: the body can't be unpacked.
        """
        encoding = content_encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnpackingError(encoding)
        self._is_packed = encoding not in ("", "identity")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked bytes, a limited number at a time.

        Raises:
            UnpackingError: the bytes are damaged.
        """
        if not self._is_packed:
            yield data
            return
        while data and not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, UNPACKED_PIECE_BYTES)
            except zlib.error as error:
                raise UnpackingError(str(error)) from error
            data = self._inflater.unconsumed_tail
            if piece:
                yield piece
