"""The compilation of llama-cpp-python behind the chat: how far it is, or why there is no llama-cpp-python.

`scripts/background_compile.py` writes the file that is read here. Until llama-cpp-python is compiled, the
faster library for processors runs the models that it can run.
"""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from qwen3_chat.texts import t

STALE_S: Final = 60.0
"""The age from which on the file is that of a process that was ended; it is written every 10 s."""
_MAX_FILE_BYTES = 16_384


class CompilationState(StrEnum):
    """The state of a compilation; those but `INTERRUPTED` stand in the file."""

    COMPILING = "compiling"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    NO_COMPILER = "no_compiler"


class Compilation(msgspec.Struct, frozen=True):
    """A compilation that has not led to llama-cpp-python yet."""

    state: CompilationState
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    log: str = ""
    language: str = ""
    command: str = ""
    file: str = ""
    """The file that this was read from; without it, a compilation that failed is tried again."""

    @property
    def is_running(self) -> bool:
        """True while it goes on."""
        return self.state is CompilationState.COMPILING

    @property
    def sentence(self) -> str:
        """The sentence that tells how far it is, or what is to be done."""
        key = f"llama_compilation.{self.state.value}"
        if self.state is CompilationState.NO_COMPILER and not self.command:
            key += "_no_command"
        return t(
            key,
            percent=self.percent,
            log=self.log,
            file=self.file,
            language=self.language,
            command=self.command,
        )


def compilation_file(prefix: str | Path = sys.prefix) -> Path:
    """Return the file about the compilation, in the environment of that prefix."""
    return Path(prefix) / "llama-cpp" / "compile.json"


def read_compilation() -> Compilation | None:
    """Return the compilation that has not led to llama-cpp-python yet; None where there is none."""
    file = compilation_file()
    try:
        with file.open("rb") as opened:
            age_s = time.time() - file.stat().st_mtime
            compilation = msgspec.json.decode(opened.read(_MAX_FILE_BYTES), type=Compilation)
    except (OSError, ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    state = compilation.state
    if state is CompilationState.COMPILING and age_s > STALE_S:
        state = CompilationState.INTERRUPTED
    return msgspec.structs.replace(compilation, state=state, file=str(file))


def missing_llama_cpp_sentence() -> str:
    """Return the sentence that tells why llama-cpp-python is not there."""
    compilation = read_compilation()
    return compilation.sentence if compilation else t("llama_compilation.absent")
