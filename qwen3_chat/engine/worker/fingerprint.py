"""The fingerprint of all that evaluated tokens depend on besides their ids.

That is the model file, the build of the library and the layout of the KV cells.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_HEADER_BYTES = 8 << 20  # enough for the metadata and the table of the tensors


def model_fingerprint(model_path: Path, build: str, layout: str) -> str:
    """Return a hash of a model file, the build of the library and the layout of the cells.

    Raises:
        OSError: the file can't be read.
    """
    status = model_path.stat()
    facts = f"{build},{status.st_size},{status.st_mtime_ns},{layout}"
    with model_path.open("rb") as file:
        return hashlib.sha256(facts.encode() + file.read(_HEADER_BYTES)).hexdigest()
