"""A small file that only its owner can read, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_OWNER_ONLY: Final = 0o600


def write_private_file(path: Path, content: bytes) -> None:
    """Replace a file, or make it, with mode 0600; whoever reads it gets the old content or the new one.

    Raises:
        OSError: it can't be written; the old file is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary_file = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary_file.unlink(missing_ok=True)  # one that a crash left may have another mode
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(temporary_file, flags, _OWNER_ONLY), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary_file.replace(path)
    except BaseException:
        temporary_file.unlink(missing_ok=True)
        raise
