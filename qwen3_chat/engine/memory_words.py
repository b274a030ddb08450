"""Whether a message of llama.cpp is about memory that there is too little of."""

from __future__ import annotations

_WORDS = (
    "out of memory",
    "insufficient memory",
    "failed to allocate",
    "unable to allocate",
    "cannot allocate",
    "bad_alloc",
)


def speaks_of_memory(reason: str) -> bool:
    """Tell whether memory ran out, by what llama.cpp, ggml or a GPU's driver said."""
    return any(words in reason.lower() for words in _WORDS)
