"""The list of the files that can be attached by name: those of the current folder that are neither hidden
nor ignored.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MAX_FILES = 20_000
GIT_TIMEOUT_S = 5
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv", "build", "dist", "target"})


def list_attachable_files(folder: Path) -> list[str]:
    """List the files as paths relative to the folder, with `/`; takes a moment: not for the event loop."""
    return list(islice(_git_files(folder) or _walk(folder), MAX_FILES))


def _git_files(folder: Path) -> Iterator[str] | None:
    """Ask git, which knows what is ignored; None where the folder is not in a repository."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=folder,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    paths = sorted(set(os.fsdecode(done.stdout).split("\0")))
    return (path for path in paths if path and not _is_hidden(path) and (folder / path).is_file())


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _walk(folder: Path) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS
        )
        for name in sorted(files):
            if not name.startswith("."):
                yield (Path(here) / name).relative_to(folder).as_posix()
