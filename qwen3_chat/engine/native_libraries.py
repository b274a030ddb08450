"""The native libraries that can run models, by name: the one that is always there, and the faster ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

LIBRARY_VARIABLE: Final = "QWEN3_CHAT_LIBRARY"
"""The environment variable with the name of a worker's library; without it, llama-cpp-python."""

LIBRARY_FILE_NAME: Final = "libraries.json"
"""The file of the choices between the libraries, beside the chats."""

IK_NAME: Final = "ik_llama.cpp"
IK_DISTRIBUTION: Final = "ik-llama-cpp-python"
IK_VERSION: Final = "0.1.5"
"""The version of ik-llama-cpp-python, of the extra `fast-cpu`, that the worker's structs fit."""


def has_fast_library() -> bool:
    """Return whether ik-llama-cpp-python is installed, in the version that the worker needs."""
    from importlib.metadata import PackageNotFoundError, version  # here: every worker imports this module

    try:
        return version(IK_DISTRIBUTION) == IK_VERSION
    except PackageNotFoundError:
        return False


def library_environment(name: str, environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a worker that runs this library, from those that it would have otherwise."""
    return {**(os.environ if environ is None else environ), LIBRARY_VARIABLE: name}
