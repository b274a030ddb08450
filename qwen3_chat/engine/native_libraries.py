"""The native libraries that can run models, by name: llama-cpp-python, and a faster one for processors.

llama-cpp-python runs everything. Where it is still to be compiled, or can't be, the other one takes its place
as far as it goes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from qwen3_chat.engine.llama_build import BUILD_VARIABLE, CHOSEN_BUILD_VARIABLE, LLAMA_CPP_VERSION
from qwen3_chat.engine.llama_compilation import read_compilation
from qwen3_chat.request import LLAMA_CPP_NAME

LIBRARY_VARIABLE: Final = "QWEN3_CHAT_LIBRARY"
"""The environment variable with the name of a worker's library; without it, that of `default_library`."""

LIBRARY_FILE_NAME: Final = "libraries.json"
"""The file of the choices between the libraries, beside the chats."""

IK_NAME: Final = "ik_llama.cpp"
IK_DISTRIBUTION: Final = "ik-llama-cpp-python"
IK_VERSION: Final = "0.1.5"
"""The version of ik-llama-cpp-python, of the extra `fast-cpu`, that the worker's structs fit."""

IK_FILE_VARIABLE: Final = "IK_LLAMA_CPP_LIB_PATH"
"""The environment variable by which ik-llama-cpp-python takes another library than its own."""

IK_FILE_NAME: Final = {"win32": "llama.dll", "darwin": "libllama.dylib"}.get(sys.platform, "libllama.so")


def has_llama_cpp(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether a worker with these variables can import llama-cpp-python, or a build in its place."""
    variables = os.environ if environ is None else environ
    if BUILD_VARIABLE in variables or variables.get(CHOSEN_BUILD_VARIABLE):
        return True
    compilation = read_compilation()
    if compilation is None:
        return find_spec("llama_cpp") is not None
    # at its end, half of the package is there for a moment; after a failure, an earlier version may be
    return not compilation.is_running and _is_installed(LLAMA_CPP_NAME, LLAMA_CPP_VERSION)


def default_library(environ: Mapping[str, str] | None = None) -> str:
    """Return the library of a worker that is asked for none: the faster one only in want of the other."""
    return IK_NAME if not has_llama_cpp(environ) and has_fast_library() else LLAMA_CPP_NAME


def has_fast_library() -> bool:
    """Return whether ik-llama-cpp-python is installed, in the version that the worker needs."""
    return _is_installed(IK_DISTRIBUTION, IK_VERSION)


def _is_installed(distribution: str, needed: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version  # here: every worker imports this module

    try:
        return version(distribution) == needed
    except PackageNotFoundError:
        return False


def compiled_folder(prefix: str | Path = sys.prefix) -> Path:
    """Return the folder for ik_llama.cpp compiled for this processor, in the environment of that prefix."""
    return Path(prefix) / "fast-cpu" / IK_VERSION


def fast_library_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the library that ik-llama-cpp-python takes in place of its own; None where it takes its own.

    It is the one that the user's variable names, else the one compiled for this processor.
    """
    named = (os.environ if environ is None else environ).get(IK_FILE_VARIABLE)
    if named:
        return Path(named)
    file = compiled_folder() / IK_FILE_NAME
    return file if file.is_file() else None


def fast_library_build() -> str:
    """Return the build of the faster library, as text: what was measured with one says nothing of others."""
    file = fast_library_file()
    try:
        return f"{file.stat().st_size} {file.stat().st_mtime_ns}" if file else ""
    except OSError:
        return ""


def library_environment(name: str, environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a worker that runs this library, from those that it would have otherwise."""
    variables = {**(os.environ if environ is None else environ), LIBRARY_VARIABLE: name}
    if name == IK_NAME and (file := fast_library_file(variables)):
        variables[IK_FILE_VARIABLE] = str(file)
    return variables
