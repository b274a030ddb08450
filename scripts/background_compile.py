"""What is compiled behind the chat: llama-cpp-python first, then the faster library for this processor.

Run as a program, this module compiles; `scripts/chat` starts it. How far llama-cpp-python is, or why there is
none, is told by a small file, which the app reads (`qwen3_chat/engine/llama_compilation.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fast_library
from speech import t

if TYPE_CHECKING:
    from environment import Environment
    from pip_progress import Step

# Imports inside functions are needed only to compile, which is once.

COMPILING, FAILED, NO_COMPILER = "compiling", "failed", "no_compiler"
"""The states in the file."""
_NICENESS = 19
_CREATION_FLAGS = 0
if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.DETACHED_PROCESS | subprocess.IDLE_PRIORITY_CLASS
_WRITE_INTERVAL_S = 10.0
"""The longest time between two writes; a file that is much older is that of a process that was ended."""


def state_file(environment: Environment) -> Path:
    """Return the file that tells how far llama-cpp-python is, or why there is none."""
    return environment.folder / "llama-cpp" / "compile.json"


def log_file(environment: Environment) -> Path:
    """Return the file with the output of the compiler."""
    return state_file(environment).with_suffix(".log")


def read_state(environment: Environment) -> dict[str, Any]:
    """Return the content of the file, nothing where there is none."""
    try:
        state = json.loads(state_file(environment).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(environment: Environment, state: str, **values: object) -> None:
    """Write the file; a disk that is full stops nothing."""
    file = state_file(environment)
    content = {
        "state": state,
        "requirement": environment.pending,
        "log": str(log_file(environment)),
        **values,
    }
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(json.dumps(content), "utf-8")
        temporary.replace(file)


def forget(environment: Environment) -> None:
    """Remove the file, since llama-cpp-python is there."""
    with suppress(OSError):  # on Windows, while the app reads it; it is out of date soon
        state_file(environment).unlink()


def start(environment: Environment) -> list[str]:
    """Compile what is missing in a process of its own, behind everything; return sentences for the user.

    Nothing is started, or said twice, after a failure that another attempt would not change.
    """
    with environment.hold_compiler() as is_free:
        if not is_free:
            return []  # it was told when that began
        if environment.pending and environment.has_pending():
            environment.finish_pending()
        if not environment.pending:
            forget(environment)
    is_to_start, sentences = _check_pending(environment) if environment.pending else (False, [])
    if not is_to_start and fast_library.is_to_compile(environment):
        is_to_start = True
        sentences.append(t("scripts.fast_library_compiling", log=fast_library.log_file(environment)))
    if is_to_start:
        log = log_file(environment)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            subprocess.Popen(
                [str(environment.python), __file__],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                creationflags=_CREATION_FLAGS,
            )
    return sentences


def _check_pending(environment: Environment) -> tuple[bool, list[str]]:
    """Return whether to compile llama-cpp-python now, and what to tell."""
    from toolchain import compiler_command, missing_compiler

    known = read_state(environment)
    if known.get("requirement") != environment.pending:
        known = {}
    language = missing_compiler()
    match known.get("state"):
        case "no_compiler" if language is not None:
            return False, []
        case "failed" if not known.get("may_succeed"):
            if known.get("is_told"):
                return False, []
            write_state(environment, **known | {"is_told": True})
            file = state_file(environment)
            return False, [t("llama_compilation.failed", log=log_file(environment), file=file)]
    if language is None:
        write_state(environment, COMPILING, percent=0)
        return True, [t("scripts.compiling_behind", log=log_file(environment))]
    command = compiler_command()
    write_state(environment, NO_COMPILER, language=language, command=command)
    return True, [no_compiler_sentence(language, command)]  # an index of the user's may have a wheel


def no_compiler_sentence(language: str, command: str) -> str:
    """Return the sentence that tells which compiler is missing, and how to install it."""
    key = "llama_compilation.no_compiler" if command else "llama_compilation.no_compiler_no_command"
    return t(key, language=language, command=command)


def compile_llama_cpp(environment: Environment, clock: Callable[[], float] = time.monotonic) -> bool:
    """Install what is pending, unless another process does; return False where that failed."""
    from pip_run import PipFailed, run_pip
    from toolchain import missing_compiler

    with environment.hold_compiler() as is_free:
        if not is_free or not environment.pending:
            return True
        compile_byte_code(environment)
        language = missing_compiler()
        options = [] if language is None else ["--only-binary", ":all:"]
        half = str(max(1, (os.cpu_count() or 1) // 2))  # the other half is for the chat
        environ = {"CMAKE_BUILD_PARALLEL_LEVEL": half, **os.environ}
        shown, written_s = -1, 0.0

        def follow(step: Step | None) -> None:
            nonlocal shown, written_s
            percent = shown if step is None or step.fraction is None else round(100 * step.fraction)
            if language is None and (percent != shown or clock() - written_s > _WRITE_INTERVAL_S):
                shown, written_s = percent, clock()
                write_state(environment, COMPILING, percent=max(0, percent))

        try:
            arguments = ["install", *options, environment.pending]
            run_pip(environment.python, arguments, sys.stdout, environ, follow)
        except PipFailed as failure:
            if language is not None:
                return False  # the file says so already
            # without a network, disk or memory, another attempt may succeed
            write_state(environment, FAILED, may_succeed=failure.key != "scripts.failed.other")
            return False
        environment.finish_pending()
        forget(environment)
    return True


def compile_byte_code(environment: Environment) -> None:
    """Compile to byte code what pip has left as it is, to install sooner."""
    command = [str(environment.python), "-m", "compileall", "-q", str(environment.folder)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=False)


def main() -> int:
    """Compile one after the other; return the exit status."""
    from environment import Environment

    environment = Environment()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    done = compile_llama_cpp(environment)
    if fast_library.is_to_compile(environment):
        done = fast_library.compile_source(environment) and done
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
