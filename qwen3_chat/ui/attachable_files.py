"""The files of the current folder that can be attached by name: neither hidden nor ignored."""

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
    """Return the files as paths relative to the folder, with `/`; too slow for the event loop."""
    return list(islice(_git_files(folder) or _walk(folder), MAX_FILES))


def _git_files(folder: Path) -> Iterator[str] | None:
    """Return the files that git does not ignore; None if the folder is not in a repository."""
    try:
        completed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=folder,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if completed.returncode:
        return None
    paths = sorted(set(os.fsdecode(completed.stdout).split("\0")))
    return (path for path in paths if path and not _is_hidden(path) and (folder / path).is_file())


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS
        )
        for name in sorted(files):
            if not name.startswith("."):
                yield (Path(parent) / name).relative_to(folder).as_posix()
