"""Sizes of memory as people write them."""

from __future__ import annotations

import re

GIB = 1 << 30
MIB = 1 << 20
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def read_size(text: str) -> int | None:
    """Read `8GiB`, `8 gb`, `512MiB` or bytes; None where it is no size."""
    match = _SIZE.fullmatch(text.strip())
    if not match or (match[3] and not match[2]):
        return None
    unit = match[2].upper()
    return int(float(match[1]) * (_BINARY_UNITS[unit] if match[3] else _UNITS[unit]))


def write_size(size_bytes: int, digits: int = 1) -> str:
    """Write a size: `5.9 GiB`, `131 GiB`, `640 MiB`; `digits` come after the point below 100."""
    if size_bytes < GIB:
        return f"{size_bytes / MIB:.0f} MiB"
    if size_bytes >= 100 * GIB:
        digits = 0
    return f"{size_bytes / GIB:.{digits}f} GiB"
