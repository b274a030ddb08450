"""The builds of llama.cpp beside the installed one: each in a folder of its own, one of them in use.

`doctor --fix` puts a build here and never touches the installed one, so the way back is always open: without
the list of chosen builds, or if the chosen one can't be loaded any more, the worker takes the installed one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from qwen3_chat.private_file import write_private_file

LLAMA_CPP_VERSION = "0.3.36"
"""The version of llama-cpp-python that the worker's structs fit; a build of another one is not used."""

BUILD_VARIABLE = "QWEN3_CHAT_LLAMA_CPP"
"""The folder of the build that a trial takes, whatever is chosen; empty for the installed one."""
CHOSEN_BUILD_VARIABLE = "QWEN3_CHAT_CHOSEN_LLAMA_CPP"
"""The folder that the worker imports llama_cpp from if it can, else it takes the installed one."""

RUNTIME_LIBRARIES = ("cudart", "cublasLt", "cublas")
"""The runtime libraries of CUDA in the order in which they need each other."""

_LIST_NAME = "chosen.json"
_MAX_LIST_BYTES, _MAX_BUILDS = 16_384, 32


class _ChosenBuilds(msgspec.Struct, frozen=True):
    """The names of the chosen builds, the one in use last."""

    version: str
    names: list[str]


class BuildFolder:
    """The folder of the builds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return the folder of a build, which need not exist."""
        return self.folder / f"{name}-{LLAMA_CPP_VERSION}"

    def chosen(self) -> Path | None:
        """Return the folder of the build in use; None for the installed one."""
        names = self._names()
        return self.path(names[-1]) if names else None

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str] | None:
        """Return the variables of a worker that takes the build in use; None for this process's own."""
        chosen = self.chosen()
        return None if chosen is None else {**environ, CHOSEN_BUILD_VARIABLE: str(chosen)}

    def choose(self, name: str) -> None:
        """Use a build from now on.

        Raises:
            OSError: the list can't be written; everything is as it was.
        """
        self._write([*(other for other in self._names() if other != name), name])

    def undo(self) -> str | None:
        """Go back to the build before the one in use, whose folder is removed; return its name, None without.

        Raises:
            OSError: the list can't be written; everything is as it was.
        """
        names = self._names()
        if not names:
            return None
        name = names.pop()
        self._write(names)
        self.discard(name)
        return name

    def discard(self, name: str) -> None:
        """Remove the folder of a build that is not in use."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def _write(self, names: list[str]) -> None:
        chosen = _ChosenBuilds(LLAMA_CPP_VERSION, names)
        write_private_file(self.folder / _LIST_NAME, msgspec.json.encode(chosen))

    def _names(self) -> list[str]:
        """Read the list; a damaged one, or one of another version, counts as empty."""
        try:
            with (self.folder / _LIST_NAME).open("rb") as file:
                chosen = msgspec.json.decode(file.read(_MAX_LIST_BYTES), type=_ChosenBuilds)
        except (OSError, msgspec.DecodeError):
            return []
        if chosen.version != LLAMA_CPP_VERSION:
            return []
        names = chosen.names[-_MAX_BUILDS:]
        return [name for name in names if name.replace("-", "").isalnum() and self.path(name).is_dir()]


def trial_environment(build: Path | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a worker that takes this build and no other; None is the installed one."""
    return {**environ, BUILD_VARIABLE: str(build or "")}


def runtime_libraries(build: Path) -> Iterator[Path]:
    """Yield the runtime libraries that lie beside a build, in the order in which they are to be loaded."""
    for name in RUNTIME_LIBRARIES:
        yield from sorted(build.glob(f"nvidia/**/lib/lib{name}.so.*"))
        yield from sorted(build.glob(f"nvidia/**/bin/**/{name}64_*.dll"))
