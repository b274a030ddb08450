"""The fingerprint of all that evaluated tokens depend on besides their ids.

That is the model file, the build of llama.cpp and the layout of the KV cells.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import llama_cpp

_HEADER_BYTES = 8 << 20  # enough for the metadata and the table of the tensors
_KV_LAYOUT_FIELDS = (
    "type_k",
    "type_v",
    "flash_attn_type",
    "rope_scaling_type",
    "rope_freq_base",
    "rope_freq_scale",
    "yarn_ext_factor",
    "yarn_attn_factor",
    "yarn_beta_fast",
    "yarn_beta_slow",
    "yarn_orig_ctx",
)


def kv_layout(params: Any) -> str:
    """Return those parameters of a context that its cells depend on, as text."""
    return ",".join(f"{name}={getattr(params, name)}" for name in _KV_LAYOUT_FIELDS)


def model_fingerprint(model_path: Path, layout: str) -> str:
    """Return a hash of a model file, the build of llama.cpp and the layout of the cells.

    Raises:
        OSError: the file can't be read.
    """
    status = model_path.stat()
    facts = f"{llama_cpp.__version__},{status.st_size},{status.st_mtime_ns},{layout}"
    with model_path.open("rb") as file:
        return hashlib.sha256(facts.encode() + file.read(_HEADER_BYTES)).hexdigest()
